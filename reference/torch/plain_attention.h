// Full attention as Llama has it: grouped heads, rotation of the whole head, no norms of q and k,
// no gate (architectures.md 4.1 without q/k norms).
#ifndef CROSSCHECK_REFERENCE_TORCH_PLAIN_ATTENTION_H_
#define CROSSCHECK_REFERENCE_TORCH_PLAIN_ATTENTION_H_

#include <string>

#include "reference/torch/gated_attention.h"
#include "reference/torch/layers.h"

namespace crosscheck::torch_reference {

class PlainAttention {
 public:
  PlainAttention(const Weights& weights, const std::string& prefix);
  // y and the result are [S, d]. Reads and replaces state.key and state.value.
  at::Tensor Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                     LayerState& state) const;
  LayerState EmptyState() const;

 private:
  int64_t heads_, kv_heads_, head_dim_;
  RotaryEmbedding rotary_;
  at::Tensor in_proj_;   // [d, (H + 2Hkv)·D]: all q | all k | all v
  at::Tensor out_proj_;  // [H·D, d]
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_PLAIN_ATTENTION_H_
