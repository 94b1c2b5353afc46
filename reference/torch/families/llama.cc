// Llama (architectures.md 4.1 without q/k norms): plain attention and a gated MLP per layer; norms
// multiply with w.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reference/torch/decoder.h"

namespace crosscheck::torch_reference {
namespace {

std::unique_ptr<Network> Make(const Weights& weights) {
  std::vector<DecoderLayer> layers;
  layers.reserve(weights.spec().layers.size());
  for (size_t i = 0; i < weights.spec().layers.size(); ++i) {
    const std::string prefix = LayerPrefix(i);
    layers.push_back({weights.Vector(prefix + "input_layernorm.weight"),
                      weights.Vector(prefix + "post_attention_layernorm.weight"),
                      PlainAttention(weights, prefix + "self_attn."),
                      GatedMlp(weights, prefix + "mlp.")});
  }
  return std::make_unique<Decoder>(weights, weights.Vector("norm.weight"), std::move(layers));
}

const NetworkRegistration kRegistration(Family::kLlama, Make);

}  // namespace
}  // namespace crosscheck::torch_reference
