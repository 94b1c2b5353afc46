// The gated delta rule S ← e^g S + k̂ (β (v − (e^g S)ᵀ k̂))ᵀ, o = Sᵀ q̃ in its two forms
// (architectures.md 3.7).
#ifndef CROSSCHECK_REFERENCE_TORCH_DELTA_RULE_H_
#define CROSSCHECK_REFERENCE_TORCH_DELTA_RULE_H_

#include "reference/torch/torch_headers.h"

namespace crosscheck::torch_reference {

// H value heads, n positions; query and key are l2-normalised, query also scaled by Dk^-1/2.
struct DeltaRuleInput {
  at::Tensor query;      // [H, n, Dk]
  at::Tensor key;        // [H, n, Dk]
  at::Tensor value;      // [H, n, Dv]
  at::Tensor beta;       // [H, n]
  at::Tensor log_decay;  // [H, n], at most 0
};

// Chunks of 64 positions, each solved at once. Replaces `state` [H, Dk, Dv] and returns o [H, n,
// Dv].
at::Tensor ChunkedDeltaRule(const DeltaRuleInput& input, at::Tensor& state);

// One position (n = 1), straight from the recurrence. Replaces `state` and returns o [H, 1, Dv].
at::Tensor RecurrentDeltaRule(const DeltaRuleInput& input, at::Tensor& state);

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_DELTA_RULE_H_
