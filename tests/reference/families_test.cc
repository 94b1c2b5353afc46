// Laws of every family, in both references: they agree in fp64, and any split of a sequence gives
// the logits of its prefill.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <set>

#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "tests/own_folder.h"
#include "tests/reference/torch_test_util.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

ModelRecipe Recipe(Family family, int experts_per_token = 2) {
  ModelRecipe recipe{.spec = SmallSpec(family), .weights = {}};
  recipe.spec.layers.push_back(recipe.spec.layers.front());
  if (TraitsOf(family).mixture) recipe.spec.experts_per_token = experts_per_token;
  recipe.weights.seed = 11;
  return recipe;
}

class FamilyTest : public testing::TestWithParam<Family> {
 protected:
  std::shared_ptr<const Model> model_ =
      std::make_shared<const Model>(GenerateModel(Recipe(GetParam())));
  std::vector<int32_t> ids_ = [] {
    std::vector<int32_t> ids(70);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * i + 3 * i + 1) % 31);
    return ids;
  }();

  std::vector<std::unique_ptr<ReferenceModel>> Fp64() const {
    std::vector<std::unique_ptr<ReferenceModel>> models;
    models.push_back(*MakeExactModel(model_, ExactVariant::kFp64));
    models.push_back(*MakeTorchModel(model_, TorchPrecision::kFp64));
    return models;
  }
};

TEST_P(FamilyTest, BothReferencesAreTheSameFunctionInFp64) {
  const auto models = Fp64();
  const auto exact = LogitsOf(*models[0]->NewSession(), ids_);
  EXPECT_LT(RelativeDifference(exact, LogitsOf(*models[1]->NewSession(), ids_)), 1e-11);
}

TEST_P(FamilyTest, Fp32VariantsAreClose) {
  const auto models = Fp64();
  const auto exact = LogitsOf(*models[0]->NewSession(), ids_);
  for (const ExactVariant variant :
       {ExactVariant::kFp32Recurrent, ExactVariant::kFp32ChunkedReversed,
        ExactVariant::kFp32ChunkedPairwise}) {
    const auto fp32 = *MakeExactModel(model_, variant);
    const double error = RelativeDifference(exact, LogitsOf(*fp32->NewSession(), ids_));
    EXPECT_LT(error, 1e-4);
    EXPECT_GT(error, 0);
  }
}

TEST_P(FamilyTest, AnySplitGivesTheLogitsOfThePrefill) {
  for (const auto& model : Fp64()) {
    const auto whole = LogitsOf(*model->NewSession(), ids_);
    for (const size_t chunk : {1, 3, 64}) {
      const auto session = model->NewSession();
      std::vector<double> rows;
      for (size_t at = 0; at < ids_.size(); at += chunk) {
        const auto piece = absl::MakeConstSpan(ids_).subspan(at, chunk);
        const auto logits = LogitsOf(*session, piece);
        rows.insert(rows.end(), logits.begin(), logits.end());
      }
      EXPECT_LT(RelativeDifference(rows, whole), 1e-11) << chunk;
    }
  }
}

TEST_P(FamilyTest, LeftPaddingChangesNothing) {
  std::vector<int32_t> padded = {7, 7, 3};
  padded.insert(padded.end(), ids_.begin(), ids_.end());
  std::vector<uint8_t> mask(padded.size(), 1);
  mask[0] = mask[1] = mask[2] = 0;
  for (const auto& model : Fp64()) {
    const auto plain = LogitsOf(*model->NewSession(), ids_);
    auto logits = LogitsOf(*model->NewSession(), padded, mask);
    logits.erase(logits.begin(), logits.begin() + 3 * 31);
    EXPECT_LT(RelativeDifference(logits, plain), 1e-11);
  }
}

TEST_P(FamilyTest, BothReferencesTapTheSameStages) {
  Recorder taps[2];
  const auto models = Fp64();
  for (int i = 0; i < 2; ++i) LogitsOf(*models[i]->NewSession(), ids_, {}, &taps[i]);
  EXPECT_GT(taps[0].tensors.size(), 20u);
  EXPECT_EQ(taps[0].tensors.size(), taps[1].tensors.size());
  for (const auto& [name, tensor] : taps[0].tensors) {
    ASSERT_TRUE(taps[1].tensors.contains(name)) << name;
    EXPECT_EQ(tensor.shape, taps[1].tensors[name].shape) << name;
    EXPECT_LT(RelativeDifference(*tensor.ToDoubles(), *taps[1].tensors[name].ToDoubles()), 1e-10)
        << name;
  }
}

// Hands one stage back, with something added to each value.
class SwapOne : public TapSink {
 public:
  SwapOne(int layer, std::string stage, double added)
      : layer_(layer), stage_(std::move(stage)), added_(added) {}
  bool Wants(int layer, std::string_view stage) const override {
    return layer == layer_ && stage == stage_;
  }
  void Tap(int, std::string_view, std::vector<int64_t>, std::vector<double> values) override {
    values_ = std::move(values);
    for (double& value : values_) value += added_;
  }
  absl::Span<const double> SwapIn(int, std::string_view) override { return values_; }

 private:
  const int layer_;
  const std::string stage_;
  const double added_;
  std::vector<double> values_;
};

// The localiser's ground: what is swapped in is what the model goes on with, at every stage.
TEST_P(FamilyTest, TheExactModelGoesOnWithWhatIsSwappedIn) {
  const auto exact = std::move(Fp64()[0]);
  Recorder taps;
  const auto plain = LogitsOf(*exact->NewSession(), ids_, {}, &taps);
  for (const auto& [name, tensor] : taps.tensors) {
    const size_t dot = name.find('.');
    const bool in_layer = name.rfind("layer", 0) == 0 && dot != std::string::npos;
    const int layer = in_layer ? std::stoi(name.substr(5, dot - 5)) : -1;
    const std::string stage = in_layer ? name.substr(dot + 1) : name;
    SwapOne same(layer, stage, 0), other(layer, stage, 0.25);
    EXPECT_EQ(LogitsOf(*exact->NewSession(), ids_, {}, &same), plain) << name;
    const std::set<std::string> used_before = {"attn.probs", "gdn.q_conv", "gdn.k_conv",  "gdn.v",
                                               "gdn.q_hat",  "gdn.k_hat",  "moe.selected"};
    EXPECT_EQ(LogitsOf(*exact->NewSession(), ids_, {}, &other) == plain,
              used_before.contains(stage))
        << name;
  }
}

TEST_P(FamilyTest, ConfigurationsAndCheckpointsComeBackAsTheyWere) {
  const OwnFolder own;
  const std::string& folder = own.path();
  for (const DType storage : {DType::kF32, DType::kBF16}) {
    ModelRecipe recipe = Recipe(GetParam());
    recipe.weights.storage = storage;
    const Model model = GenerateModel(recipe);
    for (const int shards : {1, 3}) {
      for (const ExpertLayout experts : {ExpertLayout::kFused, ExpertLayout::kPerExpert}) {
        std::filesystem::remove_all(folder);
        ASSERT_TRUE(WriteCheckpoint(model, folder, {.shards = shards, .experts = experts}).ok());
        const auto read = ReadCheckpoint(folder);
        ASSERT_TRUE(read.ok()) << read.status();
        EXPECT_EQ(read->spec, model.spec);
        EXPECT_EQ(read->values, model.values);
        EXPECT_EQ(read->storage, storage);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FamilyTest,
                         testing::Values(Family::kQwen35, Family::kLlama, Family::kQwen35Moe),
                         [](const auto& param) {
                           return std::string(kFamilyNames[static_cast<size_t>(param.param)]);
                         });

TEST(MixtureTest, OneOfTheExpertsWeighsOne) {
  const auto model =
      std::make_shared<const Model>(GenerateModel(Recipe(Family::kQwen35Moe, /*experts=*/1)));
  const auto exact = *MakeExactModel(model, ExactVariant::kFp64);
  Recorder taps;
  const int32_t ids[] = {1, 2, 3};
  LogitsOf(*exact->NewSession(), ids, {}, &taps);
  const Tensor& weights = taps.tensors["layer0.moe.router_weights"];
  EXPECT_EQ(weights.shape, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(*weights.ToDoubles(), std::vector<double>(3, 1.0));
}

TEST(MixtureTest, WeightsAreSharesOfTheChosenExpertsBestFirst) {
  const auto model = std::make_shared<const Model>(GenerateModel(Recipe(Family::kQwen35Moe, 3)));
  const auto exact = *MakeExactModel(model, ExactVariant::kFp64);
  Recorder taps;
  const int32_t ids[] = {4, 9};
  LogitsOf(*exact->NewSession(), ids, {}, &taps);
  const auto logits = *taps.tensors["layer1.moe.router_logits"].ToDoubles();
  const auto chosen = *taps.tensors["layer1.moe.selected"].ToDoubles();
  const auto weights = *taps.tensors["layer1.moe.router_weights"].ToDoubles();
  for (size_t row = 0; row < 2; ++row) {
    double sum = 0;
    for (size_t i = 0; i < 3; ++i)
      sum += std::exp(logits[row * 5 + static_cast<size_t>(chosen[row * 3 + i])]);
    for (size_t i = 0; i < 3; ++i) {
      const double share =
          std::exp(logits[row * 5 + static_cast<size_t>(chosen[row * 3 + i])]) / sum;
      EXPECT_NEAR(weights[row * 3 + i], share, 1e-12);
      if (i > 0) {
        EXPECT_LE(weights[row * 3 + i], weights[row * 3 + i - 1]);
      }
    }
  }
}

TEST(MixtureTest, RoutersAreTiedOrNearlySo) {
  ModelRecipe recipe = Recipe(Family::kQwen35Moe);
  recipe.spec.experts = 8;
  const auto hidden = static_cast<size_t>(recipe.spec.hidden);
  for (const RouterStyle style :
       {RouterStyle::kPlain, RouterStyle::kNearTied, RouterStyle::kTied}) {
    recipe.weights.router = style;
    int equal = 0;
    int near = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      recipe.weights.seed = seed;
      const Model model = GenerateModel(recipe);
      const auto router = model.Get("layers.0.mlp.gate.weight");
      for (size_t e = 0; e < 4; ++e) {
        size_t same = 0;
        for (size_t i = 0; i < hidden; ++i) {
          same += router[e * hidden + i] == router[(e + 4) * hidden + i] ? 1 : 0;
        }
        equal += same == hidden;
        near += same == hidden - 1;
      }
    }
    EXPECT_EQ(equal > 20, style == RouterStyle::kTied) << equal;
    EXPECT_EQ(near > 20, style == RouterStyle::kNearTied) << near;
  }
}

TEST(LlamaConfigTest, AbsentKeysHaveTheDefaultsOfTransformers) {
  const nlohmann::json config = {{"model_type", "llama"},
                                 {"num_attention_heads", 4},
                                 {"hidden_size", 24},
                                 {"vocab_size", 10},
                                 {"num_hidden_layers", 2}};
  const auto spec = FromHuggingFaceConfig(config);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->kv_heads, 4);
  EXPECT_EQ(spec->head_dim, 6);
  EXPECT_EQ(spec->rotary_dim, 6);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_EQ(spec->rms_eps, 1e-6);
  EXPECT_EQ(spec->max_positions, 2048);
  EXPECT_FALSE(spec->tied);
  EXPECT_EQ(spec->layers, std::vector<LayerKind>(2, LayerKind::kFullAttention));
}

TEST(LlamaConfigTest, WhatIsNotComputedIsRefused) {
  nlohmann::json config = ToHuggingFaceConfig(Recipe(Family::kLlama).spec, "float32");
  config["rope_parameters"]["rope_type"] = "llama3";
  EXPECT_THAT(std::string(FromHuggingFaceConfig(config).status().message()),
              HasSubstr("rope_parameters.rope_type"));
  config = ToHuggingFaceConfig(Recipe(Family::kLlama).spec, "float32");
  config["mlp_bias"] = true;
  EXPECT_THAT(std::string(FromHuggingFaceConfig(config).status().message()), HasSubstr("mlp_bias"));
}

TEST(MixtureConfigTest, AMissingExpertIsNamed) {
  const OwnFolder own;
  const std::string& folder = own.path();
  const Model model = GenerateModel(Recipe(Family::kQwen35Moe));
  ASSERT_TRUE(WriteCheckpoint(model, folder, {.experts = ExpertLayout::kPerExpert}).ok());
  std::vector<Tensor> tensors = *DecodeSafetensors(*ReadFile(folder + "/model.safetensors"));
  std::erase_if(tensors, [](const Tensor& tensor) {
    return tensor.name.ends_with("layers.1.mlp.experts.3.up_proj.weight");
  });
  ASSERT_TRUE(WriteFile(folder + "/model.safetensors", EncodeSafetensors(tensors)).ok());
  EXPECT_THAT(std::string(ReadCheckpoint(folder).status().message()),
              HasSubstr("layers.1.mlp.experts.3.up_proj.weight is missing"));
}

}  // namespace
}  // namespace crosscheck
