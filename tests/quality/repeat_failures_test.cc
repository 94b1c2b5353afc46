// Failures among many decisions.
#include "quality/repeat_failures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "quality/apply_gates.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

using testing::HasSubstr;

// Gates "g0" … of a mean, and "p" by the rule "point".
GateFile Gates(int count) {
  std::string text = "format = \"crosscheck-gates/1\"\ngate = [\n";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&text, "{name=\"g", i, "\", metric=\"kl_mean\", max=1, configs=[\"*\"]},\n");
  }
  text += "{name=\"p\", metric=\"kl_max\", max=1, rule=\"point\", configs=[\"*\"]}]";
  auto gates = ParseGates(text, "gates");
  EXPECT_TRUE(gates.ok()) << gates.status();
  return *gates;
}

ConfigurationResult Decided(int count, GateVerdict verdict) {
  ConfigurationResult result;
  result.configuration = {.name = "c", .engine = "torch:fp32"};
  for (int i = 0; i < count; ++i) {
    result.gates.push_back({.gate = absl::StrCat("g", i),
                            .metric = "kl_mean",
                            .verdict = verdict,
                            .text = absl::StrCat("number ", i)});
  }
  result.gates.push_back(
      {.gate = "p", .metric = "kl_max", .verdict = GateVerdict::kFail, .text = "point"});
  return result;
}

TEST(SampledDecisions, CountsWhatOtherPromptsMightDecideOtherwise) {
  EXPECT_EQ(SampledDecisions(Gates(3), {Decided(3, GateVerdict::kPass)}), 3);
  EXPECT_EQ(SampledDecisions(Gates(3), {Decided(3, GateVerdict::kUndecided)}), 0);
}

TEST(ConfirmFailures, AFailureThatFreshPromptsDoNotShowIsUndecided) {
  ConfigurationResult result = Decided(3, GateVerdict::kFail);
  result.gates[2].verdict = GateVerdict::kPass;
  ConfigurationResult again = Decided(3, GateVerdict::kFail);
  again.gates[1].verdict = GateVerdict::kPass;
  ConfirmFailures(Gates(3), again, result);
  EXPECT_EQ(result.gates[0].verdict, GateVerdict::kFail);
  EXPECT_THAT(result.gates[0].text, HasSubstr("failed again on fresh prompts: number 0"));
  EXPECT_EQ(result.gates[1].verdict, GateVerdict::kUndecided);
  EXPECT_THAT(result.gates[1].text, HasSubstr("not so on fresh prompts"));
  EXPECT_EQ(result.gates[2].verdict, GateVerdict::kPass);
  EXPECT_EQ(result.gates[2].text, "number 2");
  EXPECT_EQ(result.gates[3].verdict, GateVerdict::kFail);  // no sample: nothing to repeat
}

TEST(RepeatFailures, FewDecisionsAreCalledAsTheyAre) {
  CompareOptions options;
  options.gates = Gates(20);
  Comparison comparison;
  comparison.configurations = {Decided(20, GateVerdict::kFail)};
  ASSERT_TRUE(RepeatFailures(options, comparison).ok());
  EXPECT_EQ(comparison.configurations[0].gates[0].text, "number 0");
}

TEST(RepeatFailures, WithoutATextAFailureStaysAndSaysSo) {
  CompareOptions options;
  options.gates = Gates(21);
  Comparison comparison;
  comparison.configurations = {Decided(21, GateVerdict::kFail)};
  ASSERT_TRUE(RepeatFailures(options, comparison).ok());
  const GateOutcome& gate = comparison.configurations[0].gates[0];
  EXPECT_EQ(gate.verdict, GateVerdict::kFail);
  EXPECT_THAT(gate.text, HasSubstr("one of 21 decisions, not repeated"));
}

// Both ends on the trained checkpoint, 21 gates of one mean.
class RepeatOnFreshText : public testing::Test {
 protected:
  void SetUp() override {
    if (!Tokenizer::Load(kModel).ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
    options_.model = kModel;
    options_.inputs.prompts_file = std::string(kModel) + "/prompts.jsonl";
    options_.inputs.text_file = std::string(kModel) + "/heldout.txt";
    options_.inputs.limit = 12;  // ten clusters are the least of an interval
    options_.inputs.text_tokens = 600;
    options_.inputs.step_targets = 8;
    options_.out = folder_.path();
    options_.greedy_tokens = options_.forced_positions = 8;
    options_.layer_prompts = options_.sampled_prompts = options_.draw_positions = 0;
    options_.say = [this](std::string_view line) { said_ += line; };
    options_.configurations = {*ParseConfiguration("fp32", "torch:fp32"),
                               *ParseConfiguration("q4_sym", "torch:fp32")};
  }
  // Each configuration's mean KL by its gates, after a repetition where one is due.
  Comparison Decide(const GateFile& gates) {
    options_.gates = gates;
    auto comparison = Compare(options_);
    EXPECT_TRUE(comparison.ok()) << comparison.status();
    if (!comparison.ok()) return {};
    for (ConfigurationResult& result : comparison->configurations) {
      ApplyGates(gates, result, comparison->inputs);
    }
    const absl::Status status = RepeatFailures(options_, *comparison);
    EXPECT_TRUE(status.ok()) << status;
    return *std::move(comparison);
  }
  // 21 gates: `bound` for all but the last, whose bound is `last`.
  static GateFile Bounds(double bound, double last) {
    GateFile gates = Gates(21);
    for (Gate& gate : gates.gates) gate.max = bound;
    gates.gates[20].max = last;
    return gates;
  }

  static constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";
  const OwnFolder folder_;
  CompareOptions options_;
  std::string said_;
};

TEST_F(RepeatOnFreshText, AFormatThatIsTooCoarseFailsAgainAndOnlyItIsAsked) {
  const Comparison comparison = Decide(Bounds(1e-9, 1e-9));
  const std::vector<GateOutcome>& right = comparison.configurations[0].gates;
  const std::vector<GateOutcome>& wrong = comparison.configurations[1].gates;
  EXPECT_THAT(said_, HasSubstr("once more on 12 fresh prompts"));
  EXPECT_EQ(right[0].verdict, GateVerdict::kPass) << right[0].text;
  EXPECT_THAT(right[0].text, testing::Not(HasSubstr("fresh")));
  EXPECT_EQ(wrong[0].verdict, GateVerdict::kFail);
  EXPECT_THAT(wrong[0].text, HasSubstr("failed again on fresh prompts"));
  const std::string dumps = folder_.path() + "/repeat/dumps/";
  EXPECT_TRUE(std::filesystem::exists(dumps + "q4_sym"));
  EXPECT_FALSE(std::filesystem::exists(dumps + "fp32"));
  const std::string fresh = *ReadFile(dumps + "reference/prompts.jsonl");
  for (const Prompt& prompt : comparison.inputs.prompts) {
    EXPECT_THAT(fresh, testing::Not(HasSubstr("\"" + prompt.id + "\"")));
  }
}

// A bound beyond what the prompts' interval reaches and inside that of the text's pieces, which are
// farther from the reference.
TEST_F(RepeatOnFreshText, WhatOnlyThesePromptsShowIsUndecided) {
  const Comparison first = Decide(Bounds(1e-9, 1e-9));
  GateFile gates = Bounds(1e-9, 1e-9);
  gates.gates[20].max.reset();
  gates.gates[20].min = 1.001 * first.configurations[1].metrics.at("kl_mean").upper;
  const Comparison second = Decide(gates);
  const GateOutcome& gate = second.configurations[1].gates[20];
  EXPECT_EQ(gate.verdict, GateVerdict::kUndecided) << gate.text;
  EXPECT_THAT(gate.text, HasSubstr("not so on fresh prompts"));
  EXPECT_EQ(second.configurations[1].gates[0].verdict, GateVerdict::kFail);
}

}  // namespace
}  // namespace crosscheck::quality
