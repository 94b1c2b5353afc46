// The linear-attention mixer of Qwen3.5: projections, causal depthwise conv, gated delta rule,
// gated norm (architectures.md 3.7).
#ifndef CROSSCHECK_REFERENCE_TORCH_GATED_DELTA_NET_H_
#define CROSSCHECK_REFERENCE_TORCH_GATED_DELTA_NET_H_

#include <string>
#include <vector>

#include "reference/torch/delta_rule.h"
#include "reference/torch/layers.h"

namespace crosscheck::torch_reference {

class GatedDeltaNet {
 public:
  GatedDeltaNet(const Weights& weights, const std::string& prefix);
  // y and the result are [S, d]. Reads and replaces state.conv and state.recurrent.
  at::Tensor Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                     LayerState& state) const;
  LayerState EmptyState() const;

 private:
  at::Tensor CausalConv(const at::Tensor& u, at::Tensor& conv_state) const;
  DeltaRuleInput SplitHeads(const at::Tensor& activated, const at::Tensor& b, const at::Tensor& a,
                            const Taps& taps) const;

  int64_t key_heads_, value_heads_, key_dim_, value_dim_, channels_, kernel_;
  double epsilon_;
  Linear in_proj_;                // d -> C + Vd + 2Hv: qkv | z | b | a
  std::vector<at::Tensor> conv_;  // K taps of [C]; the last multiplies the current row
  at::Tensor minus_exp_a_log_;    // [Hv]
  at::Tensor dt_bias_;            // [Hv]
  at::Tensor norm_;               // [Dv], plain w
  Linear out_proj_;               // Vd -> d
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_GATED_DELTA_NET_H_
