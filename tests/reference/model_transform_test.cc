#include "reference/model_transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "reference/weights.h"

namespace crosscheck {
namespace {

std::shared_ptr<const ModelRecipe> Recipe(bool tied) {
  auto recipe = std::make_shared<ModelRecipe>();
  recipe->spec.layers = {LayerKind::kFullAttention};
  recipe->spec.vocab = 7;
  recipe->spec.hidden = 4;
  recipe->spec.intermediate = 3;
  recipe->spec.head_dim = 2;
  recipe->spec.rotary_dim = 2;
  recipe->spec.linear_key_dim = 2;
  recipe->spec.linear_value_dim = 2;
  recipe->spec.eos = 5;
  recipe->spec.tied = tied;
  recipe->weights.seed = 11;
  return recipe;
}

TEST(ModelTransformTest, PermutationIsOneCycleThroughEveryToken) {
  for (int vocab : {1, 2, 3, 64}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<int32_t> permutation = VocabularyPermutation(seed, vocab);
      int length = 0;
      for (int32_t token = 0; length == 0 || token != 0; token = permutation[token]) ++length;
      EXPECT_EQ(length, vocab);
    }
  }
}

TEST(ModelTransformTest, SeedsGiveDifferentPermutations) {
  std::set<std::vector<int32_t>> all;
  for (uint64_t seed = 0; seed < 100; ++seed) all.insert(VocabularyPermutation(seed, 32));
  EXPECT_EQ(all.size(), 100u);
}

TEST(ModelTransformTest, PermutedVocabularyMovesRowsAndEndOfSequenceAndNothingElse) {
  for (bool tied : {false, true}) {
    const auto recipe = Recipe(tied);
    const Model plain = GenerateModel(*recipe);
    const Model moved = GenerateModel(
        *Transformed(recipe, {.kind = ModelTransform::Kind::kPermuteVocabulary, .seed = 3}));
    const std::vector<int32_t> permutation = VocabularyPermutation(3, 7);
    EXPECT_EQ(moved.spec.eos, permutation[5]);
    for (size_t t = 0; t < plain.tensors.size(); ++t) {
      const TensorRole role = plain.tensors[t].role;
      if (role != TensorRole::kEmbedding && role != TensorRole::kHead) {
        EXPECT_EQ(moved.values[t], plain.values[t]) << plain.tensors[t].name;
        continue;
      }
      for (int row = 0; row < 7; ++row) {
        EXPECT_TRUE(std::equal(plain.values[t].begin() + row * 4,
                               plain.values[t].begin() + row * 4 + 4,
                               moved.values[t].begin() + permutation[row] * 4))
            << plain.tensors[t].name << " row " << row;
      }
    }
  }
}

TEST(ModelTransformTest, ASecondLoadIsAnotherRecipeOfTheSameModel) {
  const auto recipe = Recipe(false);
  const auto second = Transformed(recipe, {.kind = ModelTransform::Kind::kSecondLoad});
  EXPECT_FALSE(*second == *recipe);
  EXPECT_EQ(GenerateModel(*second).values, GenerateModel(*recipe).values);
}

}  // namespace
}  // namespace crosscheck
