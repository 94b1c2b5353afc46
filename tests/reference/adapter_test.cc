// Low-rank adapters: the generator, PEFT's files, and what both references compute with one.
#include "reference/adapter.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "reference/checkpoint.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"
#include "tests/reference/torch_test_util.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

constexpr char kGolden[] = "tests/golden/qwen35-lora";

ModelRecipe Recipe() {
  ModelRecipe recipe{.spec = SmallSpec(), .weights = {}};
  recipe.spec.layers.push_back(LayerKind::kFullAttention);
  recipe.weights.seed = 3;
  return recipe;
}

AdapterRecipe EveryModule() {
  AdapterRecipe adapter{.rank = 3, .alpha = 8, .modules = {}, .seed = 5};
  for (size_t i = 0; i < std::size(kAdapterModuleNames); ++i) {
    adapter.modules.push_back(static_cast<AdapterModule>(i));
  }
  return adapter;
}

class AdapterTest : public testing::Test {
 protected:
  // Writes an adapter whose config has `key` = `value` (JSON text) and says why it is refused.
  std::string RefusalWith(const std::string& key, const std::string& value) {
    const auto updates = GenerateAdapter(Recipe().spec, EveryModule());
    EXPECT_TRUE(WriteAdapter(updates, folder_).ok());
    const std::string file = folder_ + "/adapter_config.json";
    auto config = *ParseJson(*ReadFile(file));
    config[key] = *ParseJson(value);
    EXPECT_TRUE(WriteFile(file, config.dump()).ok());
    return std::string(ReadAdapter(Recipe().spec, folder_).status().message());
  }

  const OwnFolder own_;
  const std::string folder_ = own_.path();
};

TEST_F(AdapterTest, EveryModuleOfEveryLayerThatHasIt) {
  const auto updates = GenerateAdapter(Recipe().spec, EveryModule());
  EXPECT_EQ(updates.size(), 3u * 3 + 2 * 4 + 5);
  for (const LowRankUpdate& update : updates) {
    EXPECT_EQ(update.a.size(), static_cast<size_t>(3 * update.in));
    EXPECT_EQ(update.b.size(), static_cast<size_t>(3 * update.out));
    EXPECT_EQ(update.scale(), 8.0 / 3);
  }
}

TEST_F(AdapterTest, OneLayerIsTheFirstOrLastThatHasTheModule) {
  AdapterRecipe adapter = EveryModule();
  adapter.modules = {AdapterModule::kKey};
  adapter.layers = AdapterLayers::kFirst;
  ASSERT_EQ(GenerateAdapter(Recipe().spec, adapter).size(), 1u);
  EXPECT_THAT(GenerateAdapter(Recipe().spec, adapter)[0].name, HasSubstr("layers.1.self_attn.k_"));
  adapter.layers = AdapterLayers::kLast;
  EXPECT_THAT(GenerateAdapter(Recipe().spec, adapter)[0].name, HasSubstr("layers.2."));
}

TEST_F(AdapterTest, ReadOfWriteIsTheAdapter) {
  const auto updates = GenerateAdapter(Recipe().spec, EveryModule());
  ASSERT_TRUE(WriteAdapter(updates, folder_).ok());
  const auto read = ReadAdapter(Recipe().spec, folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), updates.size());
  for (size_t i = 0; i < updates.size(); ++i) {
    EXPECT_EQ((*read)[i].name, updates[i].name);
    EXPECT_EQ((*read)[i].a, updates[i].a);
    EXPECT_EQ((*read)[i].b, updates[i].b);
    EXPECT_EQ((*read)[i].alpha, 8);
  }
}

TEST_F(AdapterTest, WhatChangesTheFormulaIsRefusedByName) {
  const std::pair<const char*, const char*> refused[] = {
      {"use_dora", "true"},
      {"use_qalora", "true"},
      {"lora_bias", "true"},
      {"bias", "\"all\""},
      {"layer_replication", "[[0, 2]]"},
      {"target_parameters", "[\"experts.gate\"]"},
      {"trainable_token_indices", "[3]"},
      {"alora_invocation_tokens", "[1]"},
      {"modules_to_save", "[\"lm_head\"]"},
      {"peft_type", "\"IA3\""},
      {"peft_type", "null"},
      {"lora_alpha", "null"},
      {"r", "0"},
      {"rank_pattern", "{\"q_proj|k_proj\": 2}"},
      {"alpha_pattern", "{\"q_proj\": \"2\"}"},
      {"target_modules", "[3]"},
      {"layers_to_transform", "\"0\""}};
  for (const auto& [key, value] : refused) {
    EXPECT_THAT(RefusalWith(key, value), HasSubstr(key)) << value;
    if (value != std::string("null")) continue;
    EXPECT_THAT(RefusalWith(key, "false"), HasSubstr(key));
  }
  EXPECT_THAT(RefusalWith("r", "4"), HasSubstr("shape"));
  for (const auto& [key, value] : {std::pair("lora_dropout", "0.5"),
                                   {"fan_in_fan_out", "true"},
                                   {"use_dora", "false"},
                                   {"layer_replication", "null"},
                                   {"modules_to_save", "[]"},
                                   {"rank_pattern", "{}"}}) {
    EXPECT_EQ(RefusalWith(key, value), "") << key << ": no part of inference, or neutral";
  }
}

TEST_F(AdapterTest, WeightsInAPickleAreRefused) {
  ASSERT_TRUE(WriteAdapter(GenerateAdapter(Recipe().spec, EveryModule()), folder_).ok());
  std::filesystem::rename(folder_ + "/adapter_model.safetensors", folder_ + "/adapter_model.bin");
  EXPECT_THAT(std::string(ReadAdapter(Recipe().spec, folder_).status().message()),
              HasSubstr("adapter_model.bin is a pickle"));
}

// The scale of each module by its name after a change of the configuration.
std::map<std::string, double> ScalesWith(const std::string& folder, const char* key,
                                         const char* value, std::string* error = nullptr) {
  const std::string file = folder + "/adapter_config.json";
  auto config = *ParseJson(*ReadFile(file));
  config[key] = *ParseJson(value);
  EXPECT_TRUE(WriteFile(file, config.dump()).ok());
  const auto updates = ReadAdapter(Recipe().spec, folder);
  if (error != nullptr) *error = std::string(updates.status().message());
  std::map<std::string, double> scales;
  if (!updates.ok()) return scales;
  for (const LowRankUpdate& update : *updates) scales[update.name] = update.scale();
  return scales;
}

// s = alpha / r, with rslora alpha / sqrt(r), of each module after its patterns.
TEST_F(AdapterTest, TheScaleFollowsRsloraAndPatterns) {
  ASSERT_TRUE(WriteAdapter(GenerateAdapter(Recipe().spec, EveryModule()), folder_).ok());
  for (const auto& [name, scale] :
       ScalesWith(folder_, "alpha_pattern", R"({"k_proj": 5, "^model.layers.0.mlp.up_proj": 7})")) {
    const double alpha = name.ends_with("self_attn.k_proj.weight")       ? 5
                         : name.ends_with("layers.0.mlp.up_proj.weight") ? 7
                                                                         : 8;
    EXPECT_EQ(scale, alpha / 3) << name;
  }
  for (const auto& [name, scale] : ScalesWith(folder_, "use_rslora", "true")) {
    const double alpha = name.ends_with("self_attn.k_proj.weight")       ? 5
                         : name.ends_with("layers.0.mlp.up_proj.weight") ? 7
                                                                         : 8;
    EXPECT_NEAR(scale, alpha / std::sqrt(3.0), 1e-14) << name;
  }
  std::string error;
  // "proj" is no end of a path between dots; "up_proj" of layer 0 has two patterns.
  EXPECT_FALSE(ScalesWith(folder_, "alpha_pattern", R"({"proj": 5})").empty());
  ScalesWith(folder_, "alpha_pattern", R"({"up_proj": 5, "mlp.up_proj": 6})", &error);
  EXPECT_THAT(error, HasSubstr("two patterns"));
  ScalesWith(folder_, "alpha_pattern", "{}", &error);
  ScalesWith(folder_, "rank_pattern", R"({"up_proj": 2})", &error);
  EXPECT_THAT(error, HasSubstr("up_proj.lora_A.weight is not of shape [2, "));
  ScalesWith(folder_, "rank_pattern", R"({"up_proj": 2.5})", &error);
  EXPECT_THAT(error, HasSubstr("rank 2.5"));
}

TEST_F(AdapterTest, FactorsOfAModuleThatIsNoTargetAreRefused) {
  ASSERT_TRUE(WriteAdapter(GenerateAdapter(Recipe().spec, EveryModule()), folder_).ok());
  std::string error;
  EXPECT_FALSE(ScalesWith(folder_, "layers_to_transform", "[0, 1, 2]", &error).empty()) << error;
  ScalesWith(folder_, "layers_to_transform", "1", &error);
  EXPECT_THAT(error, HasSubstr("layers_to_transform does not name layer 0"));
  ScalesWith(folder_, "layers_to_transform", "null", &error);
  ScalesWith(folder_, "target_modules", R"(["q_proj", "down_proj"])", &error);
  EXPECT_THAT(error, HasSubstr("target_modules does not name it"));
  EXPECT_FALSE(ScalesWith(folder_, "target_modules", "\"all-linear\"").empty());
}

TEST_F(AdapterTest, ATensorOfAnotherModelIsRefused) {
  ASSERT_TRUE(WriteAdapter(GenerateAdapter(Recipe().spec, EveryModule()), folder_).ok());
  ModelSpec shorter = Recipe().spec;
  shorter.layers.pop_back();
  EXPECT_THAT(std::string(ReadAdapter(shorter, folder_).status().message()),
              HasSubstr("belongs to no projection"));
}

// The exact model merges in fp64 and libtorch adds the low-rank product: two ways to one function.
TEST_F(AdapterTest, BothReferencesAgreeOnEveryModule) {
  const std::vector<int32_t> ids = {1, 4, 2, 9, 9, 0};
  for (const auto& module : EveryModule().modules) {
    ModelRecipe recipe = Recipe();
    recipe.serving.adapter = EveryModule();
    recipe.serving.adapter.modules = {module};
    const auto adapted = std::make_shared<const Model>(GenerateModel(recipe));
    const auto exact = *MakeExactModel(adapted, ExactVariant::kFp64);
    const auto base = *MakeExactModel(std::make_shared<const Model>(GenerateModel(Recipe())),
                                      ExactVariant::kFp64);
    const auto logits = LogitsOf(*exact->NewSession(), ids);
    const std::string_view name = kAdapterModuleNames[static_cast<size_t>(module)];
    EXPECT_LE(RelativeDifference(LogitsOf(*Torch(adapted)->NewSession(), ids), logits), 1e-10)
        << name;
    EXPECT_GE(RelativeDifference(LogitsOf(*base->NewSession(), ids), logits), 1e-4) << name;
  }
}

TEST_F(AdapterTest, MergedWeightsAreTheAdapterUpToTheirRounding) {
  ModelRecipe recipe = Recipe();
  recipe.weights.storage = DType::kBF16;
  recipe.serving.adapter = EveryModule();
  const Model beside = GenerateModel(recipe);
  recipe.serving.merged = true;
  const Model merged = GenerateModel(recipe);
  EXPECT_TRUE(merged.updates.empty());
  EXPECT_EQ(merged.storage, DType::kF32);
  for (const LowRankUpdate& update : beside.updates) {
    for (size_t i = 0; i < beside.tensors.size(); ++i) {
      if (beside.tensors[i].name != update.name) continue;
      const double sum = beside.values[i][1] + update.At(0, 1);
      EXPECT_EQ(merged.values[i][1], static_cast<float>(sum)) << update.name;
    }
  }
}

TEST_F(AdapterTest, ZeroBChangesNoBit) {
  ModelRecipe recipe = Recipe();
  recipe.serving.adapter = EveryModule();
  recipe.serving.adapter.zero_b = true;
  const auto adapted = std::make_shared<const Model>(GenerateModel(recipe));
  const auto base = std::make_shared<const Model>(GenerateModel(Recipe()));
  const std::vector<int32_t> ids = {3, 1, 7};
  EXPECT_EQ(LogitsOf(*Torch(adapted, TorchPrecision::kFp32)->NewSession(), ids),
            LogitsOf(*Torch(base, TorchPrecision::kFp32)->NewSession(), ids));
  const auto with = *MakeExactModel(adapted, ExactVariant::kFp64);
  const auto without = *MakeExactModel(base, ExactVariant::kFp64);
  EXPECT_EQ(LogitsOf(*with->NewSession(), ids), LogitsOf(*without->NewSession(), ids));
}

// What PEFT and Transformers answered with rank 4, alpha 8 and all twelve projections.
TEST_F(AdapterTest, BothReferencesReproduceTheGolden) {
  auto model = ReadCheckpoint(kGolden);
  ASSERT_TRUE(model.ok()) << model.status();
  auto updates = ReadAdapter(model->spec, kGolden);
  ASSERT_TRUE(updates.ok()) << updates.status();
  EXPECT_EQ(updates->size(), 31u);
  model->updates = *std::move(updates);
  const auto shared = std::make_shared<const Model>(*std::move(model));
  const auto tensors = DecodeSafetensors(*ReadFile(std::string(kGolden) + "/expected.safetensors"));
  ASSERT_TRUE(tensors.ok());
  const auto find = [&](const std::string& name) -> const Tensor& {
    return *std::find_if(tensors->begin(), tensors->end(),
                         [&](const Tensor& tensor) { return tensor.name == name; });
  };
  for (const char* prompt : {"p0", "p1", "p2"}) {
    const auto wide = find(std::string(prompt) + ".input_ids").As<int64_t>();
    const std::vector<int32_t> ids(wide.begin(), wide.end());
    const auto expected = *find(std::string(prompt) + ".lora_logits_f64").ToDoubles();
    const auto exact = *MakeExactModel(shared, ExactVariant::kFp64);
    EXPECT_LE(RelativeDifference(LogitsOf(*exact->NewSession(), ids), expected), 1e-9) << prompt;
    EXPECT_LE(RelativeDifference(LogitsOf(*Torch(shared)->NewSession(), ids), expected), 1e-9)
        << prompt;
  }
}

}  // namespace
}  // namespace crosscheck
