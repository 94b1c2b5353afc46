// Qwen3.5 dense text model, architectures.md 3: gated attention and GatedDeltaNet layers, each
// followed by a SwiGLU MLP; zero-centred norms.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reference/exact/decoder.h"
#include "reference/exact/model.h"

namespace crosscheck::exact {
namespace {

template <class N>
DecoderLayer<N> MakeLayer(const Model& model, int index) {
  const std::string prefix = absl::StrCat("layers.", index, ".");
  const double eps = model.spec.rms_eps;
  return {
      RmsNorm<N>(model.Get(prefix + "input_layernorm.weight"), eps, NormWeight::kOnePlus),
      RmsNorm<N>(model.Get(prefix + "post_attention_layernorm.weight"), eps, NormWeight::kOnePlus),
      model.spec.layers[index] == LayerKind::kFullAttention
          ? Mixer<N>(Attention<N>(model, prefix, AttentionKind::kGated))
          : Mixer<N>(GatedDeltaNet<N>(model, prefix)),
      Mlp<N>(model, prefix + "mlp.", model.spec.intermediate)};
}

}  // namespace

template <class N>
std::unique_ptr<ReferenceModel> MakeQwen35(std::shared_ptr<const Model> model, DeltaRule rule) {
  const int count = static_cast<int>(model->spec.layers.size());
  std::vector<DecoderLayer<N>> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) layers.push_back(MakeLayer<N>(*model, i));
  return MakeDecoder<N>(std::move(model), rule, NormWeight::kOnePlus, std::move(layers));
}

CROSSCHECK_INSTANTIATE_FAMILY(MakeQwen35);

}  // namespace crosscheck::exact
