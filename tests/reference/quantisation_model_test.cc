// Models with decoded weights and the QuaRot rotation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "reference/checkpoint.h"
#include "reference/metrics.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/quarot.h"
#include "reference/reference_model.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

ModelRecipe Recipe(Family family, bool tied) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.family = family;
  const bool hybrid = TraitsOf(family).linear_attention;
  spec.layers = {hybrid ? LayerKind::kLinearAttention : LayerKind::kFullAttention,
                 LayerKind::kFullAttention};
  spec.vocab = 11;
  spec.hidden = 64;
  spec.intermediate = 32;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 16;
  spec.rotary_dim = TraitsOf(family).partial_rotary ? 4 : 16;
  spec.linear_key_dim = 3;
  spec.tied = tied;
  if (TraitsOf(family).mixture) {
    spec.experts = 3;
    spec.experts_per_token = 2;
    spec.shared_intermediate = 32;
  }
  recipe.weights.seed = 7;
  return recipe;
}

std::vector<double> LogitsOf(const Model& model, TapSink* taps = nullptr) {
  auto exact = MakeExactModel(std::make_shared<const Model>(model), ExactVariant::kFp64);
  EXPECT_TRUE(exact.ok()) << exact.status();
  const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6};
  auto logits = (*exact)->NewSession()->Extend({.ids = ids, .taps = taps});
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits->values;
}

double LargestDifference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// So few bits that the fused and rotated weights are exact in float32: what then differs in the
// logits is the fusion itself. 1/sqrt(64) is a power of two.
Model ExactlyRotatable(Family family, bool tied) {
  Model model = GenerateModel(Recipe(family, tied));
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const bool norm = model.tensors[i].role == TensorRole::kNorm ||
                      model.tensors[i].role == TensorRole::kPlainNorm;
    for (float& value : model.values[i]) {
      value = norm ? std::round(value * 4) / 4 : std::round(value * 64) / 64;
    }
  }
  return model;
}

class ResidualStream : public TapSink {
 public:
  bool Wants(int layer, std::string_view stage) const override {
    return layer == 1 && stage == "layer_out";
  }
  void Tap(int /*layer*/, std::string_view /*stage*/, std::vector<int64_t> /*shape*/,
           std::vector<double> values) override {
    values_ = std::move(values);
  }
  const std::vector<double>& values() const { return values_; }

 private:
  std::vector<double> values_;
};

TEST(HadamardTest, SignsOfTheTestVectors) {
  const auto signs = [](uint64_t seed) {
    std::string text;
    const auto rotation = RandomizedHadamard::Create(seed, 16);
    for (const double sign : rotation->signs()) text.push_back(sign > 0 ? '+' : '-');
    return text;
  };
  EXPECT_EQ(signs(0), "+-+-+-+-+-+-----");
  EXPECT_EQ(signs(42), "-++++-+-+-++-++-");
  EXPECT_EQ(signs(0xC0FFEE), "--++----+-++----");
}

TEST(HadamardTest, WorkedVector) {
  std::vector<double> vector = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto rotation = RandomizedHadamard::Create(42, 8);
  ASSERT_TRUE(rotation.ok());
  rotation->Apply(absl::MakeSpan(vector));
  const double expected[] = {2.121320, 7.778175,   -2.121320, -2.121320,
                             3.535534, -10.606602, -2.121320, 0.707107};
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(vector[i], expected[i], 5e-7);
}

TEST(HadamardTest, IsOrthonormal) {
  const int64_t size = 256;
  const auto rotation = RandomizedHadamard::Create(7, size);
  std::vector<std::vector<double>> columns;
  for (int64_t i = 0; i < size; ++i) {
    std::vector<double> column(static_cast<size_t>(size), 0.0);
    column[static_cast<size_t>(i)] = 1;
    rotation->Apply(absl::MakeSpan(column));
    columns.push_back(column);
    rotation->ApplyInverse(absl::MakeSpan(column));
    for (int64_t j = 0; j < size; ++j) {
      ASSERT_NEAR(column[static_cast<size_t>(j)], i == j ? 1 : 0, 1e-12);
    }
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    for (size_t j = 0; j < columns.size(); ++j) {
      double product = 0;
      for (size_t k = 0; k < columns.size(); ++k) product += columns[i][k] * columns[j][k];
      ASSERT_NEAR(product, i == j ? 1 : 0, 1e-12);
    }
  }
}

TEST(HadamardTest, OtherSizesThanPowersOfTwoAreErrors) {
  for (const int64_t size : {0, -4, 3, 2560, 5120}) {
    EXPECT_EQ(RandomizedHadamard::Create(1, size).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  Model model = GenerateModel(Recipe(Family::kQwen35, true));
  model.spec.hidden = 2560;
  EXPECT_THAT(std::string(FuseQuarot(1, model).message()), HasSubstr("2560"));
}

class QuarotTest : public testing::TestWithParam<std::tuple<Family, bool>> {};

TEST_P(QuarotTest, LogitsStayAndTheStreamTurns) {
  const Model stored = ExactlyRotatable(std::get<0>(GetParam()), std::get<1>(GetParam()));
  Model rotated = stored;
  ASSERT_TRUE(FuseQuarot(42, rotated).ok());
  EXPECT_FALSE(rotated.spec.tied);
  EXPECT_NE(rotated.Get("embed_tokens.weight"), stored.Get("embed_tokens.weight"));
  ResidualStream before;
  ResidualStream after;
  EXPECT_LE(LargestDifference(LogitsOf(stored, &before), LogitsOf(rotated, &after)), 1e-9);
  std::vector<double> back = after.values();
  EXPECT_GT(LargestDifference(before.values(), back), 0.1);
  const auto rotation = RandomizedHadamard::Create(42, 64);
  for (size_t at = 0; at < back.size(); at += 64) {
    rotation->ApplyInverse(absl::MakeSpan(back).subspan(at, 64));
  }
  EXPECT_LE(LargestDifference(before.values(), back), 1e-9);
}

// Without the fusion of any one norm the logits are others: the weights are not all 1.
TEST_P(QuarotTest, AForgottenNormIsSeen) {
  const Model stored = ExactlyRotatable(std::get<0>(GetParam()), std::get<1>(GetParam()));
  for (const char* name : {"norm.weight", "layers.1.post_attention_layernorm.weight"}) {
    Model rotated = stored;
    ASSERT_TRUE(FuseQuarot(42, rotated).ok());
    for (size_t i = 0; i < rotated.tensors.size(); ++i) {
      const std::string_view full = rotated.tensors[i].name;
      if (full == std::string(TraitsOf(stored.spec.family).prefix) + name) {
        rotated.values[i] = stored.values[i];
      }
    }
    EXPECT_GT(LargestDifference(LogitsOf(stored), LogitsOf(rotated)), 1e-3) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, QuarotTest,
                         testing::Combine(testing::Values(Family::kQwen35, Family::kLlama,
                                                          Family::kQwen35Moe),
                                          testing::Bool()));

TEST(ModelFormatsTest, NamesGoBothWays) {
  for (const char* name : {"q4_sym", "stored:head=q8_0", "bf16:head=bf16:embedding=bf16",
                           "q4_sym:quarot=18446744073709551615"}) {
    const auto formats = ParseModelFormats(name);
    ASSERT_TRUE(formats.ok()) << formats.status();
    EXPECT_EQ(ModelFormatsName(*formats), name);
  }
  for (const char* name :
       {"", "q5_k", "q4_0:heads=f16", "q4_0:head=q5_k", "q4_0:quarot=-1", "q4_0:quarot"}) {
    EXPECT_EQ(ParseModelFormats(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_THAT(std::string(ParseModelFormats("q5_k").status().message()), HasSubstr("q4_0"));
}

Model DecodedAs(const char* name, Model model, FormatCost* cost = nullptr) {
  const auto formats = ParseModelFormats(name);
  EXPECT_TRUE(formats.ok()) << formats.status();
  const auto result = DecodeAs(*formats, model);
  EXPECT_TRUE(result.ok()) << result.status();
  if (cost != nullptr && result.ok()) *cost = *result;
  return model;
}

TEST(DecodeAsTest, ProjectionsChangeAndNothingElse) {
  const Model stored = GenerateModel(Recipe(Family::kQwen35Moe, true));
  const Model decoded = DecodedAs("q4_0", stored);
  EXPECT_TRUE(decoded.spec.tied);
  for (size_t i = 0; i < stored.tensors.size(); ++i) {
    EXPECT_EQ(stored.values[i] != decoded.values[i],
              stored.tensors[i].role == TensorRole::kProjection)
        << stored.tensors[i].name;
  }
}

TEST(DecodeAsTest, HeadAndEmbeddingAreChosenSeparately) {
  const Model stored = GenerateModel(Recipe(Family::kQwen35, true));
  const Model head = DecodedAs("stored:head=q4_0", stored);
  EXPECT_FALSE(head.spec.tied);
  EXPECT_EQ(head.Get("embed_tokens.weight"), stored.Get("embed_tokens.weight"));
  EXPECT_NE(head.Get("lm_head.weight"), stored.Get("lm_head.weight"));
  const Model embedding = DecodedAs("stored:embedding=q4_0", stored);
  EXPECT_NE(embedding.Get("embed_tokens.weight"), stored.Get("embed_tokens.weight"));
  EXPECT_EQ(embedding.Get("lm_head.weight"), stored.Get("lm_head.weight"));
  const Model both = DecodedAs("stored:head=f16:embedding=f16", stored);
  EXPECT_TRUE(both.spec.tied);
}

TEST(DecodeAsTest, CostCountsEveryWeight) {
  ModelRecipe recipe = Recipe(Family::kQwen35, false);
  recipe.weights.storage = DType::kBF16;
  const Model stored = GenerateModel(recipe);
  int64_t all = 0;
  int64_t projections = 0;
  int64_t wide = 0;  // A_log and the norm of the delta rule are float32
  for (size_t i = 0; i < stored.tensors.size(); ++i) {
    const auto count = static_cast<int64_t>(stored.values[i].size());
    const TensorRole role = stored.tensors[i].role;
    all += count;
    projections += role == TensorRole::kProjection ? count : 0;
    wide += StorageOf(role, DType::kBF16) == DType::kF32 ? count : 0;
  }
  FormatCost cost;
  DecodedAs("stored", stored, &cost);
  EXPECT_EQ(cost.bytes, 2 * all + 2 * wide);
  EXPECT_EQ(cost.projection_error, 0);
  DecodedAs("q4_0", stored, &cost);
  EXPECT_EQ(cost.weights, all);
  EXPECT_EQ(cost.projection_weights, projections);
  EXPECT_EQ(cost.projection_bytes, projections / 32 * 18);
  EXPECT_EQ(cost.ProjectionBitsPerWeight(), 4.5);
  EXPECT_EQ(cost.bytes, 2 * all + 2 * wide - 2 * projections + projections / 32 * 18);
  EXPECT_NEAR(cost.projection_error, 0.086, 0.01);
  EXPECT_EQ(cost.head_error, 0);
  DecodedAs("stored:head=q8_0:embedding=q8_0", stored, &cost);
  EXPECT_NEAR(cost.head_error, 0.0054, 0.001);
  EXPECT_NEAR(cost.embedding_error, 0.0054, 0.001);
}

TEST(DecodeAsTest, ErrorsNameTheTensor) {
  ModelRecipe recipe = Recipe(Family::kQwen35, false);
  recipe.spec.intermediate = 33;
  Model model = GenerateModel(recipe);
  const auto cost = DecodeAs(*ParseModelFormats("q4_0"), model);
  EXPECT_EQ(cost.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(cost.status().message()), HasSubstr("down_proj.weight as q4_0"));
}

TEST(DecodeAsTest, ExpertsHaveScalesOfTheirOwn) {
  Model model = GenerateModel(Recipe(Family::kQwen35Moe, false));
  const auto found = std::find_if(model.tensors.begin(), model.tensors.end(), [](const auto& t) {
    return t.name.ends_with("experts.down_proj");
  });
  auto& values = model.values[static_cast<size_t>(found - model.tensors.begin())];
  const size_t expert = values.size() / 3;
  for (size_t i = expert; i < 2 * expert; ++i) values[i] *= 1e6F;
  const std::vector<float> stored = values;
  ASSERT_TRUE(DecodeAs(*ParseModelFormats("fp8_tensor"), model).ok());
  RelativeError first;
  first.Add(absl::MakeConstSpan(stored).first(expert), absl::MakeConstSpan(values).first(expert));
  EXPECT_NEAR(first.Value(), 0.0265, 0.003);
}

TEST(DecodeAsTest, ACheckpointHoldsTheDecodedValues) {
  ModelRecipe recipe = Recipe(Family::kQwen35, true);
  recipe.weights.storage = DType::kBF16;
  const Model decoded = DecodedAs("q4_sym:head=f16:quarot=3", GenerateModel(recipe));
  const OwnFolder folder;
  ASSERT_TRUE(WriteCheckpoint(decoded, folder.path()).ok());
  const auto read = ReadCheckpoint(folder.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->values, decoded.values);
  EXPECT_FALSE(read->spec.tied);
}

constexpr char kTrained[] = "seeds/checkpoints/tiny-qwen35";

// Four channels of the stream forty times as large in every matrix behind a norm, and the norms as
// much smaller: the same function, with weights that a block of 32 cannot hold well.
void PlantOutlierColumns(Model& model) {
  const auto hidden = static_cast<size_t>(model.spec.hidden);
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    const bool norm = info.name.ends_with("layernorm.weight");
    const bool reads =
        info.role == TensorRole::kProjection && !info.name.ends_with("o_proj.weight") &&
        !info.name.ends_with("out_proj.weight") && !info.name.ends_with("down_proj.weight");
    if (!norm && !reads) continue;
    for (size_t at = 0; at < model.values[i].size(); ++at) {
      if (at % hidden % 32 != 5) continue;
      float& value = model.values[i][at];
      value = norm ? (1 + value) / 40 - 1 : value * 40;
    }
  }
}

// Mean over the positions of held-out text of KL(p || q) in nats.
double MeanKl(const Model& p, const Model& q) {
  const auto text = DecodeSafetensors(*ReadFile(std::string(kTrained) + "/expected.safetensors"));
  std::vector<int32_t> ids;
  for (const Tensor& tensor : *text) {
    if (tensor.name != "heldout.ids") continue;
    const auto all = tensor.As<int64_t>();
    ids.assign(all.begin(), all.begin() + 96);
  }
  const auto logits = [&](const Model& model) {
    auto exact = MakeExactModel(std::make_shared<const Model>(model), ExactVariant::kFp64);
    return *(*exact)->NewSession()->Extend({.ids = ids});
  };
  const Logits a = logits(p);
  const Logits b = logits(q);
  double sum = 0;
  for (int row = 0; row < a.rows(); ++row) sum += KlDivergence(a.row(row), b.row(row));
  return sum / a.rows();
}

// A rotation helps a format where there are outliers; "QuaRot is better than plain 4-bit" does not
// follow without them.
TEST(DecodeAsTest, ARotationHelpsWhereColumnsAreOutliers) {
  const auto trained = ReadCheckpoint(kTrained);
  ASSERT_TRUE(trained.ok()) << trained.status();
  Model outliers = *trained;
  PlantOutlierColumns(outliers);
  EXPECT_LE(MeanKl(*trained, outliers), 1e-9);  // the same function
  const double plain = MeanKl(*trained, DecodedAs("q4_sym", outliers));
  const double rotated = MeanKl(*trained, DecodedAs("q4_sym:quarot=42", outliers));
  EXPECT_GT(plain, 2 * rotated) << plain << " and " << rotated;
  EXPECT_LE(MeanKl(*trained, DecodedAs("stored:quarot=42", *trained)), 1e-9);
}

// The weight errors that seeds/checkpoints/tiny-qwen35/README.md lists.
TEST(DecodeAsTest, ErrorsOfTheTrainedCheckpoint) {
  const auto stored = ReadCheckpoint(kTrained);
  ASSERT_TRUE(stored.ok()) << stored.status();
  const auto error = [&](const char* name) {
    FormatCost cost;
    DecodedAs(name, *stored, &cost);
    return cost.projection_error;
  };
  EXPECT_EQ(error("bf16"), 0);  // the checkpoint is stored in it
  EXPECT_NEAR(error("int8_row"), .0066, 5e-5);
  EXPECT_NEAR(error("fp8_tensor"), .0265, 5e-5);
  EXPECT_NEAR(error("q4_asym"), .0783, 5e-5);
  EXPECT_NEAR(error("q4_sym"), .0972, 5e-5);
}

}  // namespace
}  // namespace crosscheck
