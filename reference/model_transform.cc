#include "reference/model_transform.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>
#include <utility>

#include "reference/weights.h"

namespace crosscheck {
namespace {

void PermuteRows(const std::vector<int32_t>& permutation, std::vector<float>& matrix) {
  const std::vector<float> old(matrix);
  const auto columns = static_cast<std::ptrdiff_t>(old.size() / permutation.size());
  for (size_t row = 0; row < permutation.size(); ++row) {
    std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(row) * columns, columns,
                matrix.begin() + permutation[row] * columns);
  }
}

void PermuteVocabulary(uint64_t seed, Model& model) {
  const std::vector<int32_t> permutation = VocabularyPermutation(seed, model.spec.vocab);
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorRole role = model.tensors[i].role;
    if (role != TensorRole::kEmbedding && role != TensorRole::kHead) continue;
    PermuteRows(permutation, model.values[i]);
  }
  if (model.spec.eos >= 0) model.spec.eos = permutation[static_cast<size_t>(model.spec.eos)];
}

// The ends of the names of a block's zeroed tensors.
std::vector<std::string_view> ZeroedTensors(ModelBlock block) {
  switch (block) {
    case ModelBlock::kMixer:
      return {"self_attn.v_proj.weight", "self_attn.o_proj.weight", "linear_attn.in_proj_z.weight",
              "linear_attn.out_proj.weight"};
    case ModelBlock::kFeedForward:
      return {"mlp.up_proj.weight",
              "mlp.down_proj.weight",
              "mlp.experts.gate_up_proj",
              "mlp.experts.down_proj",
              "mlp.shared_expert.up_proj.weight",
              "mlp.shared_expert.down_proj.weight"};
    case ModelBlock::kScores:
      return {"self_attn.q_proj.weight", "self_attn.k_proj.weight"};
    case ModelBlock::kRoutedExperts:
      return {"mlp.experts.gate_up_proj", "mlp.experts.down_proj"};
  }
  return {};
}

// The rows of the output gate in a gated q_proj stay: per head, the query and then its gate.
bool IsGateRow(const Model& model, const TensorInfo& tensor, size_t row) {
  if (!TraitsOf(model.spec.family).gated_attention) return false;
  const auto dim = static_cast<size_t>(model.spec.head_dim);
  return tensor.name.ends_with("q_proj.weight") && row / dim % 2 == 1;
}

void ZeroTensor(size_t index, Model& model) {
  const TensorInfo& tensor = model.tensors[index];
  std::vector<float>& values = model.values[index];
  const auto columns = static_cast<size_t>(tensor.shape.back());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!IsGateRow(model, tensor, i / columns)) values[i] = 0;
  }
  for (LowRankUpdate& update : model.updates) {
    if (tensor.name != update.name) continue;
    const auto rank = static_cast<size_t>(update.rank);
    for (size_t i = 0; i < update.b.size(); ++i) {
      if (!IsGateRow(model, tensor, i / rank)) update.b[i] = 0;
    }
  }
}

}  // namespace

std::shared_ptr<const ModelRecipe> Transformed(const std::shared_ptr<const ModelRecipe>& recipe,
                                               ModelTransform transform) {
  auto transformed = std::make_shared<ModelRecipe>(*recipe);
  transformed->transform = transform;
  return transformed;
}

std::vector<int32_t> VocabularyPermutation(uint64_t seed, int vocab) {
  std::vector<int32_t> permutation(static_cast<size_t>(vocab));
  std::iota(permutation.begin(), permutation.end(), 0);
  const uint64_t key = MixBits(seed ^ HashName("vocabulary permutation"));
  for (size_t i = permutation.size(); i-- > 1;) {
    std::swap(permutation[i], permutation[MixBits(key + i) % i]);
  }
  return permutation;
}

void ZeroBlock(const ZeroedBlock& zeroed, Model& model) {
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (model.tensors[i].layer != zeroed.layer) continue;
    for (const std::string_view name : ZeroedTensors(zeroed.block)) {
      if (model.tensors[i].name.ends_with(name)) ZeroTensor(i, model);
    }
  }
}

void ApplyTransform(const ModelTransform& transform, Model& model) {
  switch (transform.kind) {
    case ModelTransform::Kind::kNone:
    case ModelTransform::Kind::kSecondLoad:
      return;
    case ModelTransform::Kind::kPermuteVocabulary:
      return PermuteVocabulary(transform.seed, model);
  }
}

}  // namespace crosscheck
