// Weight formats: worked bytes, round-trip laws, and which tensors a served model changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/quantisation/f16.h"
#include "reference/quantisation/int8_rows.h"
#include "reference/quantisation/q8_0.h"
#include "reference/quantisation/weight_format.h"

namespace crosscheck {
namespace {

using testing::ElementsAre;

std::vector<float> Values(size_t count, uint64_t seed) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] =
        static_cast<float>(static_cast<int64_t>(MixBits(seed + i) >> 40) - (1 << 23)) * 0x1p-22F;
  }
  return values;
}

ModelRecipe Recipe(bool tied) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 5;
  spec.hidden = spec.intermediate = 32;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 16;
  spec.rotary_dim = 4;
  spec.linear_key_dim = 3;
  spec.tied = tied;
  recipe.weights.seed = 7;
  return recipe;
}

TEST(F16Test, RoundsToNearestEvenHalf) {
  const float third = 1.0F / 3;
  EXPECT_THAT(DecodeFromF16({third, -third, 0.0F}),
              ElementsAre(0.333251953125F, -0.333251953125F, 0.0F));
  // 2049 lies halfway between 2048 and 2050; 2051 between 2050 and 2052.
  EXPECT_THAT(DecodeFromF16({2049.0F, 2051.0F}), ElementsAre(2048.0F, 2052.0F));
  EXPECT_THAT(DecodeFromF16({0x1p-24F, 0x1p-26F, 65520.0F}),
              ElementsAre(0x1p-24F, 0.0F, std::numeric_limits<float>::infinity()));
}

TEST(F16Test, DecodedValuesAreFixpoints) {
  const std::vector<float> decoded = DecodeFromF16(Values(1000, 1));
  EXPECT_EQ(DecodeFromF16(decoded), decoded);
}

TEST(Int8RowsTest, WorkedRows) {
  // Scale 2 for the first row: 63 / 2 = 31.5 and -1 / 2 lie halfway and go away from zero.
  const Int8Rows matrix = EncodeInt8Rows({254, 63, -1, 0, 0, 0}, 2, 3);
  EXPECT_THAT(matrix.scales, ElementsAre(2, 1));
  EXPECT_THAT(matrix.codes, ElementsAre(127, 32, -1, 0, 0, 0));
  EXPECT_THAT(Decode(matrix), ElementsAre(254, 64, -2, 0, 0, 0));
}

TEST(Int8RowsTest, ErrorIsAtMostHalfAScaleOfTheRow) {
  const std::vector<float> values = Values(40 * 25, 3);
  const Int8Rows matrix = EncodeInt8Rows(values, 40, 25);
  const std::vector<float> decoded = Decode(matrix);
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_LE(std::abs(decoded[i] - values[i]), 0.50001F * matrix.scales[i / 25]) << i;
  }
  // The largest weight of a row keeps its value, so decoded rows have the same codes.
  EXPECT_EQ(EncodeInt8Rows(decoded, 40, 25).codes, matrix.codes);
}

TEST(Q80Test, WorkedBytes) {
  std::vector<float> block(32, 0.0F);
  block[0] = -63.5F;  // scale 0.5
  block[1] = 0.25F;   // half a code, away from zero
  block[31] = 10;
  const auto bytes = EncodeQ80(block, 32);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  std::string expected("\x00\x00\x00\x3f\x81\x01", 6);  // 0.5 little-endian, -127, 1
  expected.append(29, '\0').push_back('\x14');
  EXPECT_EQ(*bytes, expected);
  EXPECT_THAT(DecodeQ80(*bytes), testing::AllOf(testing::SizeIs(32), testing::Contains(-63.5F),
                                                testing::Contains(0.5F), testing::Contains(10)));
}

TEST(Q80Test, EveryBlockHasItsOwnScale) {
  std::vector<float> values = Values(4 * 64, 9);
  for (size_t i = 32; i < 64; ++i) values[i] *= 1000;
  const auto bytes = EncodeQ80(values, 64);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ASSERT_EQ(bytes->size(), 8 * kQ80BlockBytes);
  const std::vector<float> decoded = DecodeQ80(*bytes);
  for (size_t block = 0; block < 8; ++block) {
    float largest = 0;
    for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(values[block * 32 + i]));
    for (size_t i = block * 32; i < block * 32 + 32; ++i) {
      ASSERT_LE(std::abs(decoded[i] - values[i]), 0.50001F * largest / 127) << i;
    }
  }
}

TEST(Q80Test, ZerosStayZeroAndUnevenRowsAreAnError) {
  const auto zeros = EncodeQ80(std::vector<float>(32, 0.0F), 32);
  ASSERT_TRUE(zeros.ok());
  EXPECT_EQ(*zeros, std::string(36, '\0'));
  EXPECT_EQ(EncodeQ80(Values(40, 1), 40).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ServeAsTest, FormatsChangeTheirTensorsOnly) {
  const Model stored = GenerateModel(Recipe(false));
  const auto changed = [&](WeightFormat format) {
    ModelRecipe recipe = Recipe(false);
    recipe.serving.format = format;
    const Model served = GenerateModel(recipe);
    EXPECT_EQ(served.format, format);
    std::vector<std::string> names;
    for (size_t i = 0; i < stored.tensors.size(); ++i) {
      if (served.values[i] != stored.values[i]) names.push_back(stored.tensors[i].name);
    }
    return names;
  };
  const auto count = [&](TensorRole role) {
    return std::count_if(stored.tensors.begin(), stored.tensors.end(),
                         [role](const TensorInfo& info) { return info.role == role; });
  };
  EXPECT_THAT(changed(WeightFormat::kF32), testing::IsEmpty());
  const auto projections = static_cast<size_t>(count(TensorRole::kProjection));
  EXPECT_EQ(changed(WeightFormat::kInt8).size(), projections);
  const auto q80 = changed(WeightFormat::kQ80);
  EXPECT_EQ(q80.size(), projections + 1);
  EXPECT_THAT(q80, testing::Contains("lm_head.weight"));
  const auto f16 = changed(WeightFormat::kF16);
  EXPECT_EQ(f16.size(), projections + 2);
  EXPECT_THAT(f16, testing::Contains("model.language_model.embed_tokens.weight"));
}

TEST(ServeAsTest, TiedHeadInBlocksLeavesTheEmbeddingAlone) {
  ModelRecipe recipe = Recipe(true);
  const Model stored = GenerateModel(recipe);
  recipe.serving.format = WeightFormat::kQ80;
  const Model served = GenerateModel(recipe);
  EXPECT_EQ(served.activations, Activations::kInt8);
  EXPECT_EQ(served.Get("embed_tokens.weight"), stored.Get("embed_tokens.weight"));
  EXPECT_NE(served.Get("lm_head.weight"), stored.Get("lm_head.weight"));
  recipe.serving.format = WeightFormat::kF16;
  const Model half = GenerateModel(recipe);
  EXPECT_EQ(half.Get("lm_head.weight"), half.Get("embed_tokens.weight"));
}

TEST(ServeAsTest, UnevenRowsNameTheTensor) {
  ModelRecipe recipe = Recipe(false);
  recipe.spec.intermediate = 33;
  Model model = GenerateModel(recipe);
  const absl::Status status = ServeAs(WeightFormat::kQ80, model);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("down_proj"));
}

// A nudge stands for rounding: it moves what was decoded by a unit in the last place and never a
// code.
TEST(ServeAsTest, NudgesComeAfterDecoding) {
  ModelRecipe recipe = Recipe(false);
  recipe.serving.format = WeightFormat::kInt8;
  const Model served = GenerateModel(recipe);
  recipe.weights.nudge = 1;
  const Model nudged = GenerateModel(recipe);
  size_t moved = 0;
  for (size_t i = 0; i < served.values.size(); ++i) {
    for (size_t j = 0; j < served.values[i].size(); ++j) {
      const float a = served.values[i][j], b = nudged.values[i][j];
      moved += a != b ? 1 : 0;
      ASSERT_LE(std::abs(a - b), std::abs(a) * 0x1p-22F) << served.tensors[i].name;
    }
  }
  EXPECT_GT(moved, 100u);
}

}  // namespace
}  // namespace crosscheck
