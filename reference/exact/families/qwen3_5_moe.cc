// Qwen3.5-MoE text model, architectures.md 4.3: the mixers of Qwen3.5, each followed by a mixture
// of experts with a gated shared expert.
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
      Mixture<N>(model, prefix + "mlp.")};
}

}  // namespace

template <class N>
std::unique_ptr<ReferenceModel> MakeQwen35Moe(std::shared_ptr<const Model> model, DeltaRule rule) {
  const int count = static_cast<int>(model->spec.layers.size());
  std::vector<DecoderLayer<N>> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) layers.push_back(MakeLayer<N>(*model, i));
  return MakeDecoder<N>(std::move(model), rule, NormWeight::kOnePlus, std::move(layers));
}

CROSSCHECK_INSTANTIATE_FAMILY(MakeQwen35Moe);

}  // namespace crosscheck::exact
