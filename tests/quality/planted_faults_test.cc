// Planted faults on the trained checkpoint: each is seen by the number that should see it, and the
// layers name the place (quality.md 10).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "quality/apply_gates.h"
#include "quality/compare.h"
#include "reference/error_bound.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

// One configuration by its name, with gates.
ConfigurationResult Measure(const std::string& name, const std::string& adapter = "",
                            int draw_positions = 0, bool text = false) {
  const OwnFolder folder;
  CompareOptions options;
  options.model = kModel;
  options.adapter = adapter;
  options.inputs.prompts_file = std::string(kModel) + "/prompts.jsonl";
  options.inputs.limit = 3;
  options.out = folder.path();
  options.greedy_tokens = 10;
  options.forced_positions = 10;
  options.layer_prompts = 1;
  options.sampled_prompts = 0;
  options.draw_positions = draw_positions;
  options.draws = 1 << 15;
  if (text) {
    options.inputs.text_file = std::string(kModel) + "/heldout.txt";
    options.inputs.text_tokens = options.inputs.step_targets = 64;
  }
  options.configurations = {*ParseConfiguration(name, "torch:fp32")};
  auto comparison = Compare(options);
  EXPECT_TRUE(comparison.ok()) << name << ": " << comparison.status();
  if (!comparison.ok()) return {};
  ConfigurationResult result = comparison->configurations[0];
  ApplyGates(DefaultGates(), result);
  return result;
}

// "L02 up_proj" of every stage whose added error is beyond its bound.
std::vector<std::string> BadStages(const ConfigurationResult& result) {
  std::vector<std::string> bad;
  for (const LayerStage& stage : result.layers) {
    if (stage.added_error_ratio > 1) {
      bad.push_back("L0" + std::to_string(stage.layer) + " " + stage.stage);
    }
  }
  return bad;
}

double Value(const ConfigurationResult& result, const std::string& metric) {
  const auto found = result.metrics.find(metric);
  return found == result.metrics.end() ? std::nan("") : found->second.value;
}

GateVerdict VerdictOf(const ConfigurationResult& result, const std::string& gate) {
  for (const GateOutcome& outcome : result.gates) {
    if (outcome.gate == gate) return outcome.verdict;
  }
  ADD_FAILURE() << "no gate " << gate;
  return GateVerdict::kUndecided;
}

TEST(PlantedFaultsTest, ACleanEngineHasNoBadStage) {
  const ConfigurationResult clean = Measure("fp32@faulty:none");
  EXPECT_THAT(BadStages(clean), testing::IsEmpty());
  EXPECT_EQ(VerdictOf(clean, "added-error"), GateVerdict::kPass);
  EXPECT_LT(Value(clean, "kl_mean"), 1e-10);
}

TEST(PlantedFaultsTest, TheAddedErrorNamesTheLayerOfAWrongMatrix) {
  const std::pair<const char*, const char*> faults[] = {
      {"fp32@faulty:scaled_row@layers.2.mlp.up_proj.weight", "L02 up_proj"},
      {"fp32@faulty:sign_flip@layers.4.linear_attn.in_proj_z.weight", "L04 in_proj_z"},
      {"fp32@faulty:swapped_halves@layers.5.self_attn.k_proj.weight", "L05 k_proj"},
      {"fp32@faulty:zeroed_column@layers.0.mlp.down_proj.weight", "L00 down_proj"}};
  for (const auto& [name, place] : faults) {
    const ConfigurationResult result = Measure(name);
    EXPECT_THAT(BadStages(result), testing::ElementsAre(place)) << name;
    EXPECT_EQ(VerdictOf(result, "added-error"), GateVerdict::kFail) << name;
    EXPECT_GT(Value(result, "kl_mean"), 1e-6) << name;
  }
}

TEST(PlantedFaultsTest, ALayersScaleIsSeenByTheAddedErrorAndNotByItsCosine) {
  const ConfigurationResult result = Measure("fp32@faulty:scaled@layers.2.mlp.up_proj.weight");
  EXPECT_THAT(BadStages(result), testing::ElementsAre("L02 up_proj"));
  for (const LayerStage& stage : result.layers) {
    if (stage.layer != 2 || stage.stage != "up_proj") continue;
    EXPECT_GT(stage.cosine_least, 1 - 1e-9);
    EXPECT_NEAR(stage.relative_error_mean, 0.5, 1e-4);
  }
}

TEST(PlantedFaultsTest, KeysAndValuesOfOneHeadThatChangedPlaces) {
  const ConfigurationResult result =
      Measure("fp32@faulty:swapped_with_values@layers.2.self_attn.k_proj.weight");
  EXPECT_THAT(BadStages(result), testing::UnorderedElementsAre("L02 k_proj", "L02 v_proj"));
  EXPECT_GT(Value(result, "kl_mean"), 1e-4);
  EXPECT_EQ(VerdictOf(result, "added-error"), GateVerdict::kFail);
}

// Positions further apart are turned further apart; the first token meets itself alone.
TEST(PlantedFaultsTest, AnotherBaseOfTheRotationShowsLaterAndLater) {
  const OwnFolder folder;
  std::filesystem::create_directories(folder.path());
  const std::string prompts = folder.path() + "/prompts.jsonl";
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    lines += "{\"id\": \"p" + std::to_string(i) + "\", \"ids\": [" + std::to_string(300 + 17 * i) +
             "]}\n";
  }
  ASSERT_TRUE(WriteFile(prompts, lines).ok());
  CompareOptions options;
  options.model = kModel;
  options.inputs.prompts_file = prompts;
  options.out = folder.path() + "/out";
  options.greedy_tokens = options.forced_positions = 40;
  options.layer_prompts = options.sampled_prompts = options.draw_positions = 0;
  options.configurations = {
      *ParseConfiguration("fp32@faulty:rope_base@layers.2.self_attn.k_proj.weight", "torch:fp32")};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  std::vector<double> early, late;
  for (const std::vector<double>& row : comparison->configurations[0].kl_rows) {
    EXPECT_LT(row[0], 1e-10);
    for (size_t t = 1; t < row.size(); ++t) (t < 10 ? early : late).push_back(row[t]);
  }
  EXPECT_GT(EstimateIndependent(early).mean, 1e-7);
  EXPECT_GT(EstimateIndependent(late).mean, EstimateIndependent(early).mean);
}

TEST(PlantedFaultsTest, AFaultOfTheDecodePathIsSeenTokenByTokenAndNotInPrefill) {
  if (!Tokenizer::Load(kModel).ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const ConfigurationResult clean = Measure("fp32@faulty:none", "", 0, true);
  const ConfigurationResult result = Measure("fp32@faulty:decode_rows", "", 0, true);
  // An engine may err by kReferenceMultiplier times what the same arithmetic without the fault errs
  // by (judging.md 3.1): less is rounding, more is not.
  const auto of_clean = [&](const std::string& metric) {
    return std::abs(Value(result, metric)) / std::abs(Value(clean, metric));
  };
  EXPECT_LE(of_clean("perplexity_log_ratio"), kReferenceMultiplier);
  EXPECT_GT(of_clean("perplexity_log_ratio_steps"), kReferenceMultiplier);
  EXPECT_GT(Value(result, "kl_mean"), 1e-3);
}

TEST(PlantedFaultsTest, ACoarseHeadShowsInTheLogitsWithCleanLayers) {
  const ConfigurationResult result = Measure("f32:head=q4_sym");
  EXPECT_GT(Value(result, "kl_mean"), 1e-4);
  EXPECT_GT(Value(result, "delta_p_rms"), 1e-3);
  EXPECT_THAT(BadStages(result), testing::IsEmpty());  // right on its own weights
  for (const LayerStage& stage : result.layers) {
    if (stage.layer >= 0) {
      EXPECT_LT(stage.relative_error_largest, 1e-4) << stage.stage;
    }
    if (stage.stage == "lm_head") {
      EXPECT_GT(stage.relative_error_mean, 1e-2);
    }
  }
}

TEST(PlantedFaultsTest, WrongRotationsShowInAttentionOnly) {
  const ConfigurationResult result = Measure("fp32@faulty:rope_pairing");
  EXPECT_GT(Value(result, "kl_mean"), 1e-4);
  EXPECT_THAT(BadStages(result), testing::Each(testing::AnyOf(testing::StartsWith("L02"),
                                                              testing::StartsWith("L05"))));
  EXPECT_THAT(BadStages(result), testing::Not(testing::IsEmpty()));
}

TEST(PlantedFaultsTest, ASamplerThatIsTooHotIsSeenByItsDrawsAndNotByKl) {
  constexpr int kPositions = 3;
  const ConfigurationResult clean = Measure("fp32@faulty:none", "", kPositions);
  EXPECT_THAT(clean.findings, testing::IsEmpty());
  EXPECT_GT(Value(clean, "sampler_p_value"), 1e-3);
  // A position of k cells has k - 1 degrees of freedom: with one each, nothing could be seen.
  EXPECT_GT(Value(clean, "sampler_cells"), kPositions);
  ASSERT_GT(Value(clean, "sampler_power"), 0.99);  // else the test below proves nothing
  const ConfigurationResult hot = Measure("fp32@faulty:sampler_temperature", "", kPositions);
  EXPECT_LT(Value(hot, "kl_mean"), 1e-10);
  EXPECT_LT(Value(hot, "sampled_kl_mean"), 1e-10);
  EXPECT_LT(Value(hot, "sampler_p_value"), 1e-6);
  ASSERT_EQ(hot.findings.size(), 1U);
  EXPECT_EQ(hot.findings[0].kind, "sampler") << hot.findings[0].text;
  EXPECT_EQ(hot.verdict(), GateVerdict::kFail);
}

TEST(PlantedFaultsTest, AnAdapterOfAnotherScaleMissesItsEffect) {
  const std::string adapter = "seeds/checkpoints/tiny-qwen35-lora";
  EXPECT_LT(Value(Measure("fp32", adapter), "lora_effect_ratio"), 1e-6);
  EXPECT_GT(Value(Measure("fp32@faulty:lora_alpha", adapter), "lora_effect_ratio"), 1e-3);
  const ConfigurationResult ignored = Measure("fp32@faulty:lora_ignored", adapter);
  EXPECT_NEAR(Value(ignored, "lora_effect_ratio"), 1, 1e-4);
  ASSERT_FALSE(ignored.findings.empty());
  EXPECT_EQ(ignored.findings[0].kind, "adapter");
}

}  // namespace
}  // namespace crosscheck::quality
