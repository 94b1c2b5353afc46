// The full-attention mixer of Qwen3.5: per-head norm of q and k, partial RoPE, softmax attention,
// sigmoid output gate (architectures.md 3.5, 3.6).
#ifndef CROSSCHECK_REFERENCE_TORCH_GATED_ATTENTION_H_
#define CROSSCHECK_REFERENCE_TORCH_GATED_ATTENTION_H_

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

// softmax(q·kᵀ / √D + mask)·v: query [S, H, D] and the cache of a layer -> context [S, H, D].
at::Tensor Attend(const at::Tensor& query, const LayerState& state, const Step& step,
                  const Taps& taps);

class GatedAttention {
 public:
  GatedAttention(const Weights& weights, const std::string& prefix);
  // y and the result are [S, d]. Reads and replaces state.key and state.value.
  at::Tensor Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                     LayerState& state) const;
  LayerState EmptyState() const;

 private:
  int64_t heads_, kv_heads_, head_dim_;
  double epsilon_;
  RotaryEmbedding rotary_;
  Linear in_proj_;      // d -> (2H + 2Hkv)·D: all q | all k | all v | all gates
  Linear out_proj_;     // H·D -> d
  at::Tensor qk_norm_;  // [H + Hkv, D], 1 + w
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_GATED_ATTENTION_H_
