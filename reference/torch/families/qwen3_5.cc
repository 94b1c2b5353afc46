// Qwen3.5 dense text model (architectures.md 3): one of two mixers and a gated MLP per layer; norms
// multiply with 1 + w.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reference/torch/decoder.h"

namespace crosscheck::torch_reference {
namespace {

// Either of the two mixers of Qwen3.5.
decltype(DecoderLayer::mixer) MakeMixer(const Weights& weights, LayerKind kind,
                                        const std::string& prefix) {
  if (kind == LayerKind::kFullAttention) return GatedAttention(weights, prefix + "self_attn.");
  return GatedDeltaNet(weights, prefix + "linear_attn.");
}

std::unique_ptr<Network> Make(const Weights& weights) {
  std::vector<DecoderLayer> layers;
  layers.reserve(weights.spec().layers.size());
  for (size_t i = 0; i < weights.spec().layers.size(); ++i) {
    const std::string prefix = LayerPrefix(i);
    layers.push_back({weights.Vector(prefix + "input_layernorm.weight").add(1),
                      weights.Vector(prefix + "post_attention_layernorm.weight").add(1),
                      MakeMixer(weights, weights.spec().layers[i], prefix),
                      GatedMlp(weights, prefix + "mlp.")});
  }
  return std::make_unique<Decoder>(weights, weights.Vector("norm.weight").add(1),
                                   std::move(layers));
}

const NetworkRegistration kRegistration(Family::kQwen35, Make);

}  // namespace
}  // namespace crosscheck::torch_reference
