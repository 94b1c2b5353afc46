// Llama: the equations of architectures.md 4.1 without q and k norms. Full attention with rotation
// of whole heads and no output gate, SwiGLU MLPs, norms with plain weights.
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
      RmsNorm<N>(model.Get(prefix + "input_layernorm.weight"), eps, NormWeight::kPlain),
      RmsNorm<N>(model.Get(prefix + "post_attention_layernorm.weight"), eps, NormWeight::kPlain),
      Attention<N>(model, prefix, AttentionKind::kPlain),
      Mlp<N>(model, prefix + "mlp.", model.spec.intermediate)};
}

}  // namespace

template <class N>
std::unique_ptr<ReferenceModel> MakeLlama(std::shared_ptr<const Model> model, DeltaRule rule) {
  const int count = static_cast<int>(model->spec.layers.size());
  std::vector<DecoderLayer<N>> layers;
  layers.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) layers.push_back(MakeLayer<N>(*model, i));
  return MakeDecoder<N>(std::move(model), rule, NormWeight::kPlain, std::move(layers));
}

CROSSCHECK_INSTANTIATE_FAMILY(MakeLlama);

}  // namespace crosscheck::exact
