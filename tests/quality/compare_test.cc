// The whole comparison on the trained checkpoint: a few prompts, both references.
#include "quality/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "quality/apply_gates.h"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

CompareOptions SmallComparison(const std::string& out) {
  CompareOptions options;
  options.model = kModel;
  options.inputs.prompts_file = std::string(kModel) + "/prompts.jsonl";
  options.inputs.limit = 4;
  options.out = out;
  options.greedy_tokens = 12;
  options.forced_positions = 12;
  options.layer_prompts = 1;
  options.sampled_prompts = 1;
  options.sampled_seeds = 4;
  options.draw_positions = 2;
  return options;
}

Configuration Named(std::string_view name) { return *ParseConfiguration(name, "torch:fp32"); }

double Value(const ConfigurationResult& result, const std::string& metric) {
  const auto found = result.metrics.find(metric);
  return found == result.metrics.end() ? std::nan("") : found->second.value;
}

TEST(CompareTest, TheReferenceAgainstItselfIsExact) {
  const OwnFolder folder;
  CompareOptions options = SmallComparison(folder.path());
  options.configurations = {Named("fp32@torch:fp64")};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const ConfigurationResult& same = comparison->configurations[0];
  EXPECT_EQ(Value(same, "kl_mean"), 0);
  EXPECT_EQ(Value(same, "kl_max"), 0);
  EXPECT_EQ(Value(same, "top1_agreement"), 1);
  EXPECT_EQ(Value(same, "greedy_match_12"), 1);
  EXPECT_EQ(Value(same, "delta_p_rms"), 0);
  ASSERT_FALSE(same.layers.empty());
  for (const LayerStage& stage : same.layers) EXPECT_EQ(stage.relative_error_largest, 0);
  EXPECT_THAT(same.findings, testing::IsEmpty());
  // libtorch has no tokenizer to compare.
  EXPECT_THAT(same.skips,
              testing::ElementsAre(testing::Field(&Skip::track, testing::HasSubstr("tokenizer"))));
}

TEST(CompareTest, TheOrderOfThePromptsChangesNoNumber) {
  const OwnFolder folder;
  const auto lines = ReadFile(std::string(kModel) + "/prompts.jsonl");
  ASSERT_TRUE(lines.ok()) << lines.status();
  std::vector<std::string> prompts = absl::StrSplit(*lines, '\n', absl::SkipEmpty());
  prompts.resize(5);
  std::vector<std::map<std::string, Estimate>> metrics;
  for (const bool reversed : {false, true}) {
    if (reversed) std::reverse(prompts.begin(), prompts.end());
    CompareOptions options = SmallComparison(folder.path() + (reversed ? "/b" : "/a"));
    options.inputs.prompts_file = options.out + ".jsonl";
    std::filesystem::create_directories(folder.path());
    ASSERT_TRUE(WriteFile(options.inputs.prompts_file, absl::StrJoin(prompts, "\n")).ok());
    options.inputs.limit = 0;
    options.configurations = {Named("q4_sym")};
    const auto comparison = Compare(options);
    ASSERT_TRUE(comparison.ok()) << comparison.status();
    metrics.push_back(comparison->configurations[0].metrics);
  }
  ASSERT_EQ(metrics[0].size(), metrics[1].size());
  for (const auto& [name, a] : metrics[0]) {
    const Estimate& b = metrics[1].at(name);
    EXPECT_TRUE(a.value == b.value || std::isnan(a.value)) << name;
    EXPECT_TRUE(a.lower == b.lower || std::isnan(a.lower)) << name;
    EXPECT_TRUE(a.upper == b.upper || std::isnan(a.upper)) << name;
  }
}

TEST(CompareTest, FormatsAreAsFarFromTheReferenceAsTheyAreCoarse) {
  const OwnFolder folder;
  CompareOptions options = SmallComparison(folder.path());
  options.configurations = {Named("fp32"), Named("q8_0"), Named("fp8_tensor"), Named("q4_sym")};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  double previous = 0;
  for (const ConfigurationResult& result : comparison->configurations) {
    EXPECT_GT(Value(result, "kl_mean"), 10 * previous) << result.configuration.name;
    previous = Value(result, "kl_mean");
    // The reference computes on the same weights: every stage is as right as rounding lets it be.
    for (const LayerStage& stage : result.layers) {
      EXPECT_FALSE(stage.added_error_ratio > 1) << result.configuration.name << stage.stage;
    }
  }
  EXPECT_LT(previous, 0.2);
  EXPECT_LT(comparison->configurations[1].bits_per_weight, 10);
}

TEST(CompareTest, AnotherRunGoesOnWithTheSameDumps) {
  const OwnFolder folder;
  CompareOptions options = SmallComparison(folder.path());
  options.inputs.limit = 2;
  options.configurations = {Named("fp32")};
  const auto first = Compare(options);
  ASSERT_TRUE(first.ok()) << first.status();
  int64_t asked = 0;
  options.progress = [&](std::string_view, std::string_view, int64_t, int64_t) { ++asked; };
  const auto second = Compare(options);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(Value(first->configurations[0], "kl_mean"),
            Value(second->configurations[0], "kl_mean"));

  options.forced_positions = 11;
  const auto other = Compare(options);
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status())) << other.status();
  EXPECT_THAT(std::string(other.status().message()),
              testing::HasSubstr("/tracks/forced/positions"));
}

TEST(CompareTest, ALiveReferenceGivesTheNumbersOfAStoredOne) {
  const OwnFolder full, scalars;
  CompareOptions options = SmallComparison(full.path());
  options.inputs.limit = 2;
  options.configurations = {Named("q8_0")};
  const auto stored = Compare(options);
  ASSERT_TRUE(stored.ok()) << stored.status();
  options.out = scalars.path();
  options.mode = LogitMode::kScalars;
  const auto live = Compare(options);
  ASSERT_TRUE(live.ok()) << live.status();
  EXPECT_EQ(Value(stored->configurations[0], "kl_mean"), Value(live->configurations[0], "kl_mean"));
}

TEST(CompareTest, TheLargestLogitsAndASampleOfTheRestGiveNearlyTheSameDivergence) {
  const OwnFolder full, top;
  CompareOptions options = SmallComparison(full.path());
  options.configurations = {Named("q4_sym")};
  const auto whole = Compare(options);
  ASSERT_TRUE(whole.ok()) << whole.status();
  options.out = top.path();
  options.mode = LogitMode::kTopK;
  options.top_k = 128;
  options.tail_samples = 64;
  const auto sampled = Compare(options);
  ASSERT_TRUE(sampled.ok()) << sampled.status();
  const ConfigurationResult& a = whole->configurations[0];
  const ConfigurationResult& b = sampled->configurations[0];
  EXPECT_NEAR(Value(b, "kl_mean") / Value(a, "kl_mean"), 1, 0.05);
  EXPECT_NE(Value(b, "kl_mean"), Value(a, "kl_mean"));
  EXPECT_EQ(Value(b, "top1_agreement"), Value(a, "top1_agreement"));
  EXPECT_EQ(Value(b, "top10_overlap"), Value(a, "top10_overlap"));
}

TEST(CompareTest, AQuantisedFolderIsMeasuredByItsDecodedWeights) {
  const OwnFolder folder, candidate;
  auto model = ReadCheckpoint(kModel);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(DecodeAs(*ParseModelFormats("q4_sym"), *model).ok());
  ASSERT_TRUE(WriteCheckpoint(*model, candidate.path()).ok());
  CompareOptions options = SmallComparison(folder.path());
  options.inputs.limit = 2;
  Configuration given = Named("fp32");
  given.name = "given";
  given.model = candidate.path();
  options.configurations = {Named("q4_sym"), given};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_EQ(Value(comparison->configurations[0], "kl_mean"),
            Value(comparison->configurations[1], "kl_mean"));
}

TEST(CompareTest, SequentialGatesAddPromptsUntilTheyAreDecided) {
  if (!Tokenizer::Load(kModel).ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const OwnFolder folder;
  CompareOptions options = SmallComparison(folder.path());
  options.greedy_tokens = options.forced_positions = 10;
  options.sampled_prompts = options.draw_positions = options.layer_prompts = 0;
  options.inputs.step_targets = 0;
  options.inputs.text_file = std::string(kModel) + "/heldout.txt";
  options.inputs.text_tokens = 500;
  options.inputs.shuffled = true;
  options.inputs.prompts_wanted = 200;
  options.gates = *ParseGates(
      "format = \"crosscheck-gates/1\"\ngate = [{name=\"g\", metric=\"greedy_match\", at=10, "
      "min=0.95, max_prompts=200, configs=[\"*\"]}]",
      "gates");
  options.gates.sequential = true;
  options.configurations = {Named("fp32"), Named("fp32@faulty:second_token")};
  auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  ASSERT_EQ(comparison->inputs.prompts.size(), 200U);
  ConfigurationResult& same = comparison->configurations[0];
  ConfigurationResult& wrong = comparison->configurations[1];
  for (ConfigurationResult* result : {&same, &wrong}) {
    ApplyGates(options.gates, *result, comparison->inputs);
  }
  EXPECT_EQ(same.gates[0].verdict, GateVerdict::kPass) << same.gates[0].text;
  EXPECT_EQ(same.gates[0].prompts, 88);
  EXPECT_LE(same.matches.size(), 4U + 4 * 32);  // not all that may be looked at
  EXPECT_EQ(wrong.gates[0].verdict, GateVerdict::kFail) << wrong.gates[0].text;
  EXPECT_LT(wrong.matches.size(), same.matches.size());
  EXPECT_EQ((*DumpReader::Open(folder.path() + "/dumps/fp32"))->manifest()["prompt_order"].size(),
            200U);
}

TEST(CompareTest, MultipleChoiceIsAnsweredByBothSides) {
  if (!Tokenizer::Load(kModel).ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const OwnFolder folder, files;
  std::filesystem::create_directories(files.path());
  const std::string arc = files.path() + "/arc.jsonl";
  std::string lines;
  for (int i = 0; i < 12; ++i) {
    lines += "{\"id\": \"q" + std::to_string(i) + "\", \"question\": {\"stem\": \"What is " +
             std::to_string(i) +
             " plus 1?\", \"choices\": [{\"text\": \"one\", \"label\": \"A\"}, {\"text\": \"seven "
             "apples\", "
             "\"label\": \"B\"}, {\"text\": \"9\", \"label\": \"C\"}]}, \"answerKey\": \"B\"}\n";
  }
  ASSERT_TRUE(WriteFile(arc, lines).ok());
  CompareOptions options = SmallComparison(folder.path());
  options.inputs.limit = 1;
  options.inputs.tasks.arc = arc;
  options.configurations = {Named("fp32"), Named("q4_sym")};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const ConfigurationResult& same = comparison->configurations[0];
  EXPECT_EQ(same.metrics.at("accuracy_arc").clusters, 12);
  EXPECT_EQ(Value(same, "accuracy_arc"), Value(same, "accuracy_arc_reference"));
  EXPECT_EQ(Value(same, "answer_flips"), 0);
  EXPECT_LT(Value(same, "gold_change_arc"), 1e-4);
  EXPECT_GT(Value(comparison->configurations[1], "gold_change_arc"), 1e-2);
}

TEST(CompareTest, AnEngineThatCannotStartIsAnErrorOfTheSetUp) {
  const OwnFolder folder;
  CompareOptions options = SmallComparison(folder.path());
  options.inputs.limit = 1;
  options.configurations = {*ParseConfiguration("fp32", "there-is-no-such-engine")};
  EXPECT_FALSE(Compare(options).ok());
}

}  // namespace
}  // namespace crosscheck::quality
