// Failures among many decisions.
#include "quality/repeat_failures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

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

}  // namespace
}  // namespace crosscheck::quality
