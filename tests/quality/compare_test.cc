// The whole comparison on the trained checkpoint: a few prompts, both references.
#include "quality/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

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
  EXPECT_THAT(same.skips, testing::IsEmpty());
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
