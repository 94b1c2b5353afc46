#include "reference/torch/decoder.h"

#include <string>

namespace crosscheck::torch_reference {
namespace {

at::Tensor NormScale(const Weights& weights, const std::string& name, const FamilyBlocks& blocks) {
  const at::Tensor scale = weights.Vector(name);
  return blocks.norms_add_one ? scale.add(1) : scale;
}

decltype(DecoderLayer::mixer) MakeMixer(const Weights& weights, LayerKind kind,
                                        const std::string& prefix, const FamilyBlocks& blocks) {
  if (kind == LayerKind::kLinearAttention) return GatedDeltaNet(weights, prefix + "linear_attn.");
  return Attention(weights, prefix + "self_attn.", blocks.gated_attention);
}

decltype(DecoderLayer::feed_forward) MakeFeedForward(const Weights& weights,
                                                     const std::string& prefix,
                                                     const FamilyBlocks& blocks) {
  if (blocks.mixture_of_experts) return MixtureOfExperts(weights, prefix);
  return GatedMlp(weights, prefix);
}

}  // namespace

Decoder::Decoder(const Weights& weights, const FamilyBlocks& blocks)
    : epsilon_(weights.spec().rms_eps),
      embedding_(weights.Matrix("embed_tokens.weight", weights.spec().hidden)),
      norm_(NormScale(weights, "norm.weight", blocks)),
      head_(weights, weights.Projection("lm_head.weight", weights.spec().hidden)) {
  const std::vector<LayerKind>& kinds = weights.spec().layers;
  layers_.reserve(kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    layers_.push_back({NormScale(weights, prefix + "input_layernorm.weight", blocks),
                       NormScale(weights, prefix + "post_attention_layernorm.weight", blocks),
                       MakeMixer(weights, kinds[i], prefix, blocks),
                       MakeFeedForward(weights, prefix + "mlp.", blocks)});
  }
}

std::vector<LayerState> Decoder::EmptyStates() const {
  std::vector<LayerState> states;
  states.reserve(layers_.size());
  for (const DecoderLayer& layer : layers_) {
    states.push_back(std::visit([](const auto& mixer) { return mixer.EmptyState(); }, layer.mixer));
  }
  return states;
}

at::Tensor Decoder::Forward(const at::Tensor& ids, const Step& step,
                            std::vector<LayerState>& states) const {
  at::Tensor x = at::index_select(embedding_, 0, ids);
  const Taps outside{step.taps, -1};
  outside("embedding", x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Taps taps{step.taps, static_cast<int>(i)};
    x = ForwardLayer(layers_[i], x, step, taps, states[i]);
    taps("layer_out", x);
  }
  x = RmsNorm(x, norm_, epsilon_);
  outside("final_norm", x);
  return x;
}

at::Tensor Decoder::ForwardLayer(const DecoderLayer& layer, const at::Tensor& x, const Step& step,
                                 const Taps& taps, LayerState& state) const {
  const at::Tensor mixer_in = RmsNorm(x, layer.input_norm, epsilon_);
  taps("mixer_in", mixer_in);
  at::Tensor mixer_out = std::visit(
      [&](const auto& mixer) { return mixer.Forward(mixer_in, step, taps, state); }, layer.mixer);
  taps("mixer_out", mixer_out);
  const at::Tensor middle = mixer_out.add_(x);
  const at::Tensor mlp_in = RmsNorm(middle, layer.post_attention_norm, epsilon_);
  taps("mlp_in", mlp_in);
  at::Tensor mlp_out = std::visit([&](const auto& block) { return block.Forward(mlp_in, taps); },
                                  layer.feed_forward);
  taps("mlp_out", mlp_out);
  return mlp_out.add_(middle);
}

}  // namespace crosscheck::torch_reference
