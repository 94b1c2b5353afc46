// The decoder-only network that the families share: embedding, pre-norm layers with a residual
// stream, final norm, head (architectures.md 3.4). A family says which blocks its layers hold.
#ifndef CROSSCHECK_REFERENCE_TORCH_DECODER_H_
#define CROSSCHECK_REFERENCE_TORCH_DECODER_H_

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "reference/torch/gated_attention.h"
#include "reference/torch/gated_delta_net.h"
#include "reference/torch/mixture_of_experts.h"
#include "reference/torch/model.h"
#include "reference/torch/plain_attention.h"

namespace crosscheck::torch_reference {

struct DecoderLayer {
  at::Tensor input_norm;           // [d], what the normalised stream is multiplied with
  at::Tensor post_attention_norm;  // [d], the same
  std::variant<GatedDeltaNet, GatedAttention, PlainAttention> mixer;
  std::variant<GatedMlp, MixtureOfExperts> feed_forward;
};

class Decoder : public Network {
 public:
  // `norm`: [d], what the final normalised stream is multiplied with.
  Decoder(const Weights& weights, at::Tensor norm, std::vector<DecoderLayer> layers);

  std::vector<LayerState> EmptyStates() const override;
  at::Tensor Forward(const at::Tensor& ids, const Step& step,
                     std::vector<LayerState>& states) const override;
  at::Tensor Head(const at::Tensor& hidden) const override { return head_.Forward(hidden); }

 private:
  at::Tensor ForwardLayer(const DecoderLayer& layer, const at::Tensor& x, const Step& step,
                          const Taps& taps, LayerState& state) const;

  double epsilon_;
  at::Tensor embedding_;  // [V, d]
  at::Tensor norm_;       // [d]
  Linear head_;           // d -> V
  std::vector<DecoderLayer> layers_;
};

// The prefix of a layer's tensors, "layers.3.".
inline std::string LayerPrefix(size_t layer) { return "layers." + std::to_string(layer) + "."; }

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_DECODER_H_
