#include "reference/model_transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "reference/reference_model.h"
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

// What the two layers add to the residual stream, by tap.
class Branches : public TapSink {
 public:
  bool Wants(int layer, std::string_view stage) const override {
    return layer == 1 && (stage == "mixer_out" || stage == "mlp_out" || stage == "attn.probs");
  }
  void Tap(int, std::string_view stage, std::vector<int64_t>, std::vector<double> v) override {
    values[std::string(stage)] = std::move(v);
  }
  std::map<std::string, std::vector<double>> values;
};

ModelRecipe TwoLayers(LayerKind kind) {
  ModelRecipe recipe = *Recipe(false);
  recipe.spec.layers = {LayerKind::kFullAttention, kind};
  return recipe;
}

Branches Tapped(const ModelRecipe& recipe) {
  Branches branches;
  const auto model =
      MakeExactModel(std::make_shared<const Model>(GenerateModel(recipe)), ExactVariant::kFp64);
  const int32_t ids[] = {1, 4, 2};
  EXPECT_TRUE((*model)->NewSession()->Extend({.ids = ids, .taps = &branches}).ok());
  return branches;
}

bool AllZero(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == 0; });
}

TEST(ModelTransformTest, AZeroedBlockAddsNothingAndTheOtherOneDoes) {
  for (const LayerKind kind : {LayerKind::kFullAttention, LayerKind::kLinearAttention}) {
    ModelRecipe recipe = TwoLayers(kind);
    recipe.zeroed = {{1, ModelBlock::kMixer}};
    Branches branches = Tapped(recipe);
    EXPECT_TRUE(AllZero(branches.values["mixer_out"]));
    EXPECT_FALSE(AllZero(branches.values["mlp_out"]));
    recipe.zeroed = {{1, ModelBlock::kFeedForward}};
    branches = Tapped(recipe);
    EXPECT_FALSE(AllZero(branches.values["mixer_out"]));
    EXPECT_TRUE(AllZero(branches.values["mlp_out"]));
  }
}

TEST(ModelTransformTest, ZeroedScoresGiveEveryVisibleKeyTheSameWeight) {
  ModelRecipe recipe = TwoLayers(LayerKind::kFullAttention);
  recipe.zeroed = {{1, ModelBlock::kScores}};
  Branches branches = Tapped(recipe);
  EXPECT_EQ(branches.values["attn.probs"],
            (std::vector<double>{1, 0, 0, 0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3}));
  EXPECT_FALSE(AllZero(branches.values["mixer_out"]));  // the output gate is left as it was
}

// An adapter beside the weights is part of the block.
TEST(ModelTransformTest, AZeroedBlockHasNoAdapterEither) {
  ModelRecipe recipe = TwoLayers(LayerKind::kFullAttention);
  recipe.serving.adapter = {.rank = 2, .modules = {AdapterModule::kDown, AdapterModule::kUp}};
  recipe.zeroed = {{1, ModelBlock::kFeedForward}};
  EXPECT_TRUE(AllZero(Tapped(recipe).values["mlp_out"]));
}

}  // namespace
}  // namespace crosscheck
