// Full attention with grouped heads: RoPE and softmax attention, as Qwen3.5 has it with per-head
// norms of q and k and a sigmoid output gate (architectures.md 3.5, 3.6), as Llama without both
// (4.1 without q/k norms).
#ifndef CROSSCHECK_REFERENCE_TORCH_ATTENTION_H_
#define CROSSCHECK_REFERENCE_TORCH_ATTENTION_H_

#include <string>

#include "reference/torch/layers.h"

namespace crosscheck::torch_reference {

// cos and sin of the angles, [S, 1, D]. Dimensions past the rotary ones have angle 0 and so pass
// unchanged; the sign of the rotation is in sin: x' = x ⊙ cos + x[partner] ⊙ sin.
struct Rotation {
  at::Tensor cos;
  at::Tensor sin;
};

// Angles p·θ^(-2i/rot), computed in the dtype of the model.
class RotaryEmbedding {
 public:
  RotaryEmbedding(const ModelSpec& spec, at::ScalarType dtype);
  Rotation At(const at::Tensor& positions) const;                         // [S]
  at::Tensor Apply(const at::Tensor& x, const Rotation& rotation) const;  // [S, heads, D]

 private:
  at::Tensor inverse_frequency_;  // [D], 0 past the rotary dimensions
  at::Tensor sign_;               // [D], -1 in the first half of a pair
  at::Tensor partner_;            // [D], i ± rot/2
};

class Attention {
 public:
  Attention(const Weights& weights, const std::string& prefix, bool gated);
  // y and the result are [S, d]. Reads and replaces state.key and state.value.
  at::Tensor Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                     LayerState& state) const;
  LayerState EmptyState() const;

 private:
  bool gated_;
  int64_t heads_, kv_heads_, head_dim_;
  double epsilon_;
  RotaryEmbedding rotary_;
  Linear in_proj_;      // d -> (H + 2Hkv)·D: all q | all k | all v; gated: | all gates, H·D more
  Linear out_proj_;     // H·D -> d
  at::Tensor qk_norm_;  // [H + Hkv, D], 1 + w; undefined when not gated
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_ATTENTION_H_
