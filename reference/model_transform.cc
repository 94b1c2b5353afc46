#include "reference/model_transform.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
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
