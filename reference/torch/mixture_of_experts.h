// The feed-forward block of Qwen3.5-MoE: top-k routing over experts with renormalised weights, plus
// a shared expert behind a sigmoid gate (architectures.md 4.2, 4.3).
#ifndef CROSSCHECK_REFERENCE_TORCH_MIXTURE_OF_EXPERTS_H_
#define CROSSCHECK_REFERENCE_TORCH_MIXTURE_OF_EXPERTS_H_

#include <string>

#include "reference/torch/layers.h"

namespace crosscheck::torch_reference {

class MixtureOfExperts {
 public:
  MixtureOfExperts(const Weights& weights, const std::string& prefix);
  at::Tensor Forward(const at::Tensor& y, const Taps& taps) const;  // [S, d] -> [S, d]

 private:
  int64_t experts_per_token_;
  at::Tensor router_;   // [d, E]
  at::Tensor gate_up_;  // [E, d, 2I]
  at::Tensor down_;     // [E, I, d]
  GatedMlp shared_;
  at::Tensor shared_gate_;  // [d, 1]
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_MIXTURE_OF_EXPERTS_H_
