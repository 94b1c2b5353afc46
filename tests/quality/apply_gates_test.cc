// What the gates look at, and what becomes of their decisions.
#include "quality/apply_gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

using testing::HasSubstr;

GateFile Parse(const std::string& gate, const std::string& head = "") {
  auto gates = ParseGates(
      absl::StrCat("format = \"crosscheck-gates/1\"\n", head, "\ngate = [", gate, "]"), "gates");
  EXPECT_TRUE(gates.ok()) << gates.status();
  return *gates;
}

GateFile Greedy(const std::string& more, bool sequential) {
  GateFile file = Parse(
      absl::StrCat("{name=\"g\", metric=\"greedy_match\", at=10, configs=[\"fp32\"], ", more, "}"));
  file.sequential = sequential;
  return file;
}

// `prompts` that match, but for those of these indices.
ConfigurationResult Matching(int prompts, const std::vector<int>& misses = {}) {
  ConfigurationResult result;
  result.configuration.name = "fp32";
  result.first_divergence.assign(51, 0);
  for (int i = 0; i < prompts; ++i) result.matches.push_back({.prompt = i});
  for (const int i : misses) {
    result.matches[static_cast<size_t>(i)].first = {DivergenceKind::kToken, 4};
  }
  return result;
}

// `given` prompts and further ones; the order is the reverse of the given ones after the others.
Inputs Ordered(int given, int prompts) {
  Inputs inputs;
  inputs.given = given;
  inputs.prompts.resize(static_cast<size_t>(prompts));
  for (int i = given; i < prompts; ++i) inputs.order.push_back(i);
  for (int i = given - 1; i >= 0; --i) inputs.order.push_back(i);
  return inputs;
}

GateOutcome Outcome(const GateFile& gates, ConfigurationResult result,
                    const Inputs& inputs = Inputs()) {
  ApplyGates(gates, result, inputs);
  EXPECT_EQ(result.gates.size(), 1U);
  return result.gates.at(0);
}

TEST(ApplyGates, AnyNumberOfTokensThatWasGeneratedIsJudged) {
  const GateFile at4 = Parse(
      "{name=\"g\", metric=\"greedy_match\", at=4, min=0.9, configs=[\"*\"], rule=\"point\"}");
  const GateFile at5 = Parse(
      "{name=\"g\", metric=\"greedy_match\", at=5, min=0.9, configs=[\"*\"], rule=\"point\"}");
  const GateFile at51 = Parse(
      "{name=\"g\", metric=\"greedy_match\", at=51, min=0.9, configs=[\"*\"], rule=\"point\"}");
  const ConfigurationResult result = Matching(4, {1});  // token 4 differs
  EXPECT_EQ(Outcome(at4, result).verdict, GateVerdict::kPass);
  EXPECT_EQ(Outcome(at5, result).verdict, GateVerdict::kFail);
  EXPECT_EQ(Outcome(at51, result).verdict, GateVerdict::kUndecided);
  EXPECT_THAT(Outcome(at51, result).text, HasSubstr("not measured"));
}

TEST(ApplyGates, ASequentialGateLooksInTheOrderOfTheManifest) {
  const GateFile gates = Greedy("min=0.95, max_prompts=100", true);
  const Inputs inputs = Ordered(10, 100);
  // All further prompts match: 88 of them are enough, so the given ones are never looked at.
  const GateOutcome pass = Outcome(gates, Matching(100, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), inputs);
  EXPECT_EQ(pass.verdict, GateVerdict::kPass);
  EXPECT_EQ(pass.prompts, 88);
  EXPECT_THAT(pass.text, HasSubstr("after 88 prompts in the seeded order"));
  // The fixed rule looks at all.
  const GateOutcome fixed = Outcome(Greedy("min=0.95, max_prompts=100", false),
                                    Matching(100, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), inputs);
  EXPECT_EQ(fixed.verdict, GateVerdict::kFail);
  EXPECT_EQ(fixed.prompts, 100);
}

TEST(ApplyGates, ASequentialGateEndsAtItsMostPrompts) {
  const GateOutcome open =
      Outcome(Greedy("min=0.95, max_prompts=60", true), Matching(100), Ordered(10, 100));
  EXPECT_EQ(open.verdict, GateVerdict::kUndecided);
  EXPECT_EQ(open.prompts, 60);
  // Without max_prompts no prompt is added: the given ones alone.
  EXPECT_EQ(Outcome(Greedy("min=0.95", true), Matching(100), Ordered(10, 100)).prompts, 10);
}

TEST(NeedsMorePrompts, UntilEveryGateOfTheConfigurationIsDecided) {
  GateFile gates = Greedy("min=0.95, max_prompts=100", true);
  const Inputs inputs = Ordered(0, 100);
  EXPECT_TRUE(NeedsMorePrompts(gates, "fp32", inputs, Matching(64).matches));
  EXPECT_FALSE(NeedsMorePrompts(gates, "fp32", inputs, Matching(96).matches));
  EXPECT_FALSE(NeedsMorePrompts(gates, "fp32", inputs, Matching(32, {0, 1, 2, 3}).matches));
  EXPECT_FALSE(NeedsMorePrompts(gates, "q8", inputs, Matching(64).matches));  // not its gate
  EXPECT_TRUE(NeedsMorePrompts(gates, "fp32@torch", inputs, Matching(64).matches));
  gates.gates[0].max_prompts = 40;
  EXPECT_FALSE(NeedsMorePrompts(gates, "fp32", inputs, Matching(64).matches));
}

TEST(PromptsNeeded, ASequentialGateMayNeedThemAll) {
  const std::vector<Configuration> fp32 = {{.name = "fp32", .engine = "torch"}};
  EXPECT_EQ(PromptsNeeded(Greedy("min=0.95, max_prompts=1000", false), fp32), 93);
  EXPECT_EQ(PromptsNeeded(Greedy("min=0.95, max_prompts=1000", true), fp32), 1000);
  EXPECT_EQ(PromptsNeeded(Greedy("min=0.95", true), fp32), 0);
}

TEST(ApplyGates, PositionsCutTheForcedTrack) {
  ConfigurationResult result = Matching(1);
  for (int prompt = 0; prompt < 12; ++prompt) {
    result.kl_rows.push_back({0.001 * prompt, 0.001, 5});  // bad from the third position on
  }
  result.metrics["kl_mean"] = {.value = 1.7, .clusters = 12, .standard_error = 0.1};
  const auto gate = [](const std::string& more) {
    return Parse("{name=\"k\", metric=\"kl_mean\", max=0.01, configs=[\"*\"]" + more + "}");
  };
  EXPECT_EQ(Outcome(gate(", positions=2"), result).verdict, GateVerdict::kPass);
  EXPECT_EQ(Outcome(gate(", positions=3"), result).verdict, GateVerdict::kFail);
  EXPECT_EQ(Outcome(gate(""), result).verdict, GateVerdict::kFail);
}

TEST(ApplyGates, TheMultiplierMovesTheBoundOfTheAddedError) {
  ConfigurationResult result = Matching(1);
  result.layers.push_back({.layer = 0, .stage = "mlp", .added_error_ratio = 1.5});
  const auto gate = [](const std::string& m) {
    return Parse("{name=\"a\", metric=\"layer_added_error\", m=" + m +
                 ", share_of_layers=1.0, configs=[\"*\"]}");
  };
  EXPECT_EQ(Outcome(gate("2"), result).verdict, GateVerdict::kFail);
  EXPECT_EQ(Outcome(gate("4"), result).verdict, GateVerdict::kPass);
}

TEST(ApplyGates, UndecidedIsWhatTheFileSays) {
  for (const auto& [setting, verdict] : {std::pair{"exit-1", GateVerdict::kUndecided},
                                         {"pass", GateVerdict::kPass},
                                         {"fail", GateVerdict::kFail}}) {
    const GateFile gates = Parse("{name=\"k\", metric=\"kl_mean\", max=1, configs=[\"*\"]}",
                                 absl::StrCat("on_undecided = \"", setting, "\""));
    EXPECT_EQ(Outcome(gates, Matching(1)).verdict, verdict) << setting;
  }
}

}  // namespace
}  // namespace crosscheck::quality
