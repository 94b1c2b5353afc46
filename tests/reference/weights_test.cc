#include "reference/weights.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>

namespace crosscheck {
namespace {

ModelRecipe Recipe(WeightStyle style, DType storage = DType::kF32, bool tied = false) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  for (int i = 0; i < 8; ++i) {
    spec.layers.push_back(i % 4 == 3 ? LayerKind::kFullAttention : LayerKind::kLinearAttention);
  }
  spec.vocab = 61;
  spec.hidden = 40;
  spec.intermediate = 52;
  spec.heads = 6;
  spec.kv_heads = 2;
  spec.head_dim = 12;
  spec.rotary_dim = 6;
  spec.linear_key_heads = 3;
  spec.linear_value_heads = 6;
  spec.linear_key_dim = 10;
  spec.linear_value_dim = 14;
  spec.tied = tied;
  recipe.weights = {2024, style, storage};
  return recipe;
}

constexpr WeightStyle kStyles[] = {WeightStyle::kPlain,        WeightStyle::kOutlierChannels,
                                   WeightStyle::kNearTiedHead, WeightStyle::kTiedHeadRows,
                                   WeightStyle::kLarge,        WeightStyle::kTiny};

uint64_t HashBits(const Model& model) {
  uint64_t hash = 0;
  for (const std::vector<float>& values : model.values) {
    for (const float value : values) hash = MixBits(hash ^ std::bit_cast<uint32_t>(value));
  }
  return hash;
}

double Deviation(absl::Span<const float> values, double mean) {
  double sum = 0;
  for (const float value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// A change of any bit makes every committed case mean another model: change these numbers only
// together with the format version of cases.
TEST(WeightsTest, BitsAreTheCommittedOnes) {
  const uint64_t expected[6][2] = {
      {13223882478680781123U, 16921891475305388207U}, {18059697930769412877U, 9753782584593606669U},
      {11182898154770958159U, 18011668639824142003U}, {4188452248340274816U, 17841292699106918227U},
      {4775457060506900021U, 7360795773607780245U},   {9803332944453118889U, 6028570471404129607U},
  };
  for (size_t i = 0; i < std::size(kStyles); ++i) {
    EXPECT_EQ(HashBits(GenerateModel(Recipe(kStyles[i]))), expected[i][0]) << kWeightStyleNames[i];
    EXPECT_EQ(HashBits(GenerateModel(Recipe(kStyles[i], DType::kBF16, true))), expected[i][1])
        << kWeightStyleNames[i];
  }
}

TEST(WeightsTest, MixBitsIsSplitMix64) {
  EXPECT_EQ(MixBits(0), 0xE220A8397B1DCDAFU);
  EXPECT_EQ(MixBits(0x9E3779B97F4A7C15U), 0x6E789E6AA1B965F4U);
}

TEST(WeightsTest, SeedAndNameChangeEveryTensor) {
  ModelRecipe recipe = Recipe(WeightStyle::kPlain);
  std::set<std::vector<float>> seen;
  size_t count = 0;
  for (const uint64_t seed : {1, 2}) {
    recipe.weights.seed = seed;
    for (std::vector<float>& values : GenerateModel(recipe).values) {
      seen.insert(std::move(values));
      ++count;
    }
  }
  EXPECT_EQ(seen.size(), count);
}

TEST(WeightsTest, DeviationsFollowTheRole) {
  const Model model = GenerateModel(Recipe(WeightStyle::kPlain));
  EXPECT_NEAR(Deviation(model.Get("embed_tokens.weight"), 0), 1.0, 0.05);
  EXPECT_NEAR(Deviation(model.Get("lm_head.weight"), 0), 3 / std::sqrt(40), 0.03);
  EXPECT_NEAR(Deviation(model.Get("layers.0.mlp.down_proj.weight"), 0), 1 / std::sqrt(52), 0.01);
  EXPECT_NEAR(Deviation(model.Get("layers.0.linear_attn.conv1d.weight"), 0), 0.5, 0.05);
  EXPECT_NEAR(Deviation(model.Get("layers.0.input_layernorm.weight"), 0), 0.2, 0.08);
  EXPECT_NEAR(Deviation(model.Get("layers.0.linear_attn.norm.weight"), 1), 0.2, 0.08);
}

TEST(WeightsTest, DecaysRangeFromSlowToFast) {
  float slowest = 1;
  float fastest = 0;
  const Model model = GenerateModel(Recipe(WeightStyle::kPlain));
  for (const char* layer : {"0", "1", "2", "4", "5", "6"}) {
    const std::string prefix = std::string("layers.") + layer + ".linear_attn.";
    for (int h = 0; h < 6; ++h) {
      const float rate = std::exp(model.Get(prefix + "A_log")[h]) *
                         std::log1p(std::exp(model.Get(prefix + "dt_bias")[h]));
      slowest = std::min(slowest, 1 - std::exp(-rate));
      fastest = std::max(fastest, 1 - std::exp(-rate));
    }
  }
  EXPECT_LT(slowest, 0.01F);
  EXPECT_GT(fastest, 0.5F);
}

TEST(WeightsTest, ReducedStorageRoundsAllButALogAndTheGatedNorm) {
  const Model plain = GenerateModel(Recipe(WeightStyle::kPlain));
  for (const DType storage : {DType::kBF16, DType::kF16}) {
    const Model model = GenerateModel(Recipe(WeightStyle::kPlain, storage));
    for (size_t i = 0; i < model.values.size(); ++i) {
      const bool kept = model.tensors[i].role == TensorRole::kALog ||
                        model.tensors[i].role == TensorRole::kGatedNorm;
      for (size_t j = 0; j < model.values[i].size(); ++j) {
        const float value = plain.values[i][j];
        const float rounded =
            storage == DType::kBF16 ? DecodeBF16(EncodeBF16(value)) : DecodeF16(EncodeF16(value));
        ASSERT_EQ(model.values[i][j], kept ? value : rounded) << model.tensors[i].name;
      }
    }
  }
}

TEST(WeightsTest, FewerTokensKeepTheOtherRows) {
  ModelRecipe recipe = Recipe(WeightStyle::kPlain);
  const Model large = GenerateModel(recipe);
  recipe.spec.vocab = 9;
  const Model small = GenerateModel(recipe);
  const auto rows = small.Get("lm_head.weight");
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), large.Get("lm_head.weight").begin()));
}

TEST(WeightsTest, OutlierChannelsScaleFewColumns) {
  const Model plain = GenerateModel(Recipe(WeightStyle::kPlain));
  const Model model = GenerateModel(Recipe(WeightStyle::kOutlierChannels));
  int scaled_projections = 0;
  for (size_t i = 0; i < model.values.size(); ++i) {
    std::set<size_t> columns;
    for (size_t j = 0; j < model.values[i].size(); ++j) {
      if (model.values[i][j] == plain.values[i][j]) continue;
      columns.insert(j % static_cast<size_t>(model.tensors[i].shape.back()));
    }
    EXPECT_LE(columns.size(), 3U);
    if (model.tensors[i].role == TensorRole::kEmbedding) {
      EXPECT_GE(columns.size(), 1U);
    }
    if (model.tensors[i].role == TensorRole::kProjection) scaled_projections += !columns.empty();
  }
  EXPECT_GE(scaled_projections, 5);
  EXPECT_LE(scaled_projections, 40);
}

// Relative differences of the paired head rows that differ in exactly one element.
std::vector<double> PairDifferences(const Model& model, int* equal_pairs) {
  std::vector<double> differences;
  const auto head = model.Get("lm_head.weight");
  const int half = model.spec.vocab / 2;
  for (int i = 0; i < half; ++i) {
    int different = 0;
    double relative = 0;
    for (int c = 0; c < model.spec.hidden; ++c) {
      const double a = head[i * model.spec.hidden + c];
      const double b = head[(i + half) * model.spec.hidden + c];
      if (a == b) continue;
      ++different;
      relative = std::abs(a - b) / std::abs(a);
    }
    if (different == 0) ++*equal_pairs;
    if (different == 1) differences.push_back(relative);
  }
  return differences;
}

TEST(WeightsTest, NearTiedHeadHasPairsInSeveralDecades) {
  for (const bool tied : {false, true}) {
    for (const DType storage : {DType::kF32, DType::kF16, DType::kBF16}) {
      int equal = 0;
      const Model model = GenerateModel(Recipe(WeightStyle::kNearTiedHead, storage, tied));
      const std::vector<double> differences = PairDifferences(model, &equal);
      EXPECT_EQ(equal, 0);
      ASSERT_GE(differences.size(), 8U);
      ASSERT_LE(differences.size(), 22U);
      const auto [least, most] = std::minmax_element(differences.begin(), differences.end());
      EXPECT_LT(*most, 0.07);
      EXPECT_LT(*least, storage == DType::kF32 ? 1e-5 : 0.02);
    }
  }
}

TEST(WeightsTest, TiedHeadRowsAreBitEqualForHalfOfThePairs) {
  int equal = 0;
  EXPECT_TRUE(PairDifferences(GenerateModel(Recipe(WeightStyle::kTiedHeadRows)), &equal).empty());
  EXPECT_GE(equal, 8);
  EXPECT_LE(equal, 22);
}

TEST(WeightsTest, LargeScalesMatricesByAPowerOfTwo) {
  const Model plain = GenerateModel(Recipe(WeightStyle::kPlain));
  const Model model = GenerateModel(Recipe(WeightStyle::kLarge));
  EXPECT_EQ(model.Get("lm_head.weight")[5], 4 * plain.Get("lm_head.weight")[5]);
  EXPECT_EQ(model.Get("layers.0.linear_attn.A_log")[5], plain.Get("layers.0.linear_attn.A_log")[5]);
}

TEST(WeightsTest, TinyReachesEpsilonAndHoldsSubnormals) {
  const Model model = GenerateModel(Recipe(WeightStyle::kTiny));
  EXPECT_NEAR(Deviation(model.Get("embed_tokens.weight"), 0), 1e-3, 2e-4);
  int subnormal = 0;
  for (const std::vector<float>& values : model.values) {
    for (const float value : values) subnormal += std::fpclassify(value) == FP_SUBNORMAL;
  }
  EXPECT_GT(subnormal, 100);
}

TEST(WeightsTest, EveryStyleAndStorageIsFinite) {
  for (const WeightStyle style : kStyles) {
    for (const DType storage : {DType::kF32, DType::kF16, DType::kBF16}) {
      for (const std::vector<float>& values : GenerateModel(Recipe(style, storage)).values) {
        for (const float value : values) ASSERT_TRUE(std::isfinite(value));
      }
    }
  }
}

TEST(WeightsTest, ANudgeMovesWeightsByAtMostOneUnitInTheLastPlace) {
  ModelRecipe recipe = Recipe(WeightStyle::kTiny);
  const Model plain = GenerateModel(recipe);
  recipe.weights.nudge = 1;
  const Model nudged = GenerateModel(recipe), again = GenerateModel(recipe);
  recipe.weights.nudge = 2;
  const Model other = GenerateModel(recipe);
  EXPECT_EQ(nudged.values, again.values);
  EXPECT_NE(nudged.values, other.values);
  int64_t moved = 0, weights = 0;
  for (size_t i = 0; i < plain.values.size(); ++i) {
    for (size_t k = 0; k < plain.values[i].size(); ++k, ++weights) {
      const float before = plain.values[i][k], after = nudged.values[i][k];
      EXPECT_LE(after, std::nextafter(before, HUGE_VALF));
      EXPECT_GE(after, std::nextafter(before, -HUGE_VALF));
      moved += before != after;
    }
  }
  EXPECT_GT(moved, weights / 2);
}

TEST(WeightsTest, TiedModelsAnswerLmHeadWithTheEmbedding) {
  const Model model = GenerateModel(Recipe(WeightStyle::kPlain, DType::kF32, true));
  EXPECT_EQ(model.Get("lm_head.weight").data(), model.Get("embed_tokens.weight").data());
  EXPECT_DEATH(static_cast<void>(model.Get("layers.9.norm.weight")),
               "no tensor layers.9.norm.weight");
}

}  // namespace
}  // namespace crosscheck
