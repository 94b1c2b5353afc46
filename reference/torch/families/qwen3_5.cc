// Qwen3.5 dense text model (architectures.md 3): pre-norm decoder layers with one of two mixers and
// a gated MLP.
#include <string>
#include <variant>

#include "reference/torch/gated_attention.h"
#include "reference/torch/gated_delta_net.h"
#include "reference/torch/model.h"

namespace crosscheck::torch_reference {
namespace {

using Mixer = std::variant<GatedDeltaNet, GatedAttention>;

Mixer MakeMixer(const Weights& weights, LayerKind kind, const std::string& prefix) {
  if (kind == LayerKind::kFullAttention) return GatedAttention(weights, prefix + "self_attn.");
  return GatedDeltaNet(weights, prefix + "linear_attn.");
}

struct DecoderLayer {
  DecoderLayer(const Weights& weights, LayerKind kind, const std::string& prefix)
      : input_norm(weights.Vector(prefix + "input_layernorm.weight").add(1)),
        post_attention_norm(weights.Vector(prefix + "post_attention_layernorm.weight").add(1)),
        mixer(MakeMixer(weights, kind, prefix)),
        mlp(weights, prefix + "mlp.") {}

  at::Tensor input_norm;           // [d], 1 + w
  at::Tensor post_attention_norm;  // [d], 1 + w
  Mixer mixer;
  GatedMlp mlp;
};

class Qwen35 : public Network {
 public:
  explicit Qwen35(const Weights& weights)
      : epsilon_(weights.spec().rms_eps),
        embedding_(weights.Matrix("embed_tokens.weight", weights.spec().hidden)),
        norm_(weights.Vector("norm.weight").add(1)),
        head_(weights.Matrix("lm_head.weight", weights.spec().hidden).t()) {
    const std::vector<LayerKind>& kinds = weights.spec().layers;
    layers_.reserve(kinds.size());
    for (size_t i = 0; i < kinds.size(); ++i) {
      layers_.emplace_back(weights, kinds[i], "layers." + std::to_string(i) + ".");
    }
  }

  std::vector<LayerState> EmptyStates() const override {
    std::vector<LayerState> states;
    states.reserve(layers_.size());
    for (const DecoderLayer& layer : layers_) {
      states.push_back(
          std::visit([](const auto& mixer) { return mixer.EmptyState(); }, layer.mixer));
    }
    return states;
  }

  at::Tensor Forward(const at::Tensor& ids, const Step& step,
                     std::vector<LayerState>& states) const override {
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

  at::Tensor Head(const at::Tensor& hidden) const override { return at::mm(hidden, head_); }

 private:
  at::Tensor ForwardLayer(const DecoderLayer& layer, const at::Tensor& x, const Step& step,
                          const Taps& taps, LayerState& state) const {
    const at::Tensor mixer_in = RmsNorm(x, layer.input_norm, epsilon_);
    taps("mixer_in", mixer_in);
    at::Tensor mixer_out = std::visit(
        [&](const auto& mixer) { return mixer.Forward(mixer_in, step, taps, state); }, layer.mixer);
    taps("mixer_out", mixer_out);
    const at::Tensor middle = mixer_out.add_(x);
    const at::Tensor mlp_in = RmsNorm(middle, layer.post_attention_norm, epsilon_);
    taps("mlp_in", mlp_in);
    at::Tensor mlp_out = layer.mlp.Forward(mlp_in);
    taps("mlp_out", mlp_out);
    return mlp_out.add_(middle);
  }

  double epsilon_;
  at::Tensor embedding_;  // [V, d]
  at::Tensor norm_;       // [d], 1 + w
  at::Tensor head_;       // [d, V]
  std::vector<DecoderLayer> layers_;
};

const NetworkRegistration kRegistration(Family::kQwen35,
                                        [](const Weights& weights) -> std::unique_ptr<Network> {
                                          return std::make_unique<Qwen35>(weights);
                                        });

}  // namespace
}  // namespace crosscheck::torch_reference
