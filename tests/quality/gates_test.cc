#include "quality/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string File(std::string_view gate, std::string_view head = "") {
  return absl::StrCat("format = \"crosscheck-gates/1\"\n",
                      absl::string_view(head.data(), head.size()), "\ngate = [\n",
                      absl::string_view(gate.data(), gate.size()), "\n]\n");
}

std::string ErrorOf(const std::string& text) {
  auto gates = ParseGates(text, "gates.toml");
  return gates.ok() ? "" : std::string(gates.status().message());
}

TEST(DefaultGates, AreThoseOfTheText) {
  const GateFile& file = DefaultGates();
  EXPECT_EQ(file.confidence, 0.95);
  EXPECT_EQ(file.on_undecided, OnUndecided::kExit1);
  ASSERT_EQ(file.gates.size(), 8u);
  const Gate& greedy = file.gates[0];
  EXPECT_EQ(greedy.name, "greedy10");
  EXPECT_EQ(greedy.metric.kind, MetricKind::kRate);
  EXPECT_EQ(greedy.at, 10);
  EXPECT_EQ(greedy.min, 0.99);
  EXPECT_EQ(greedy.max_prompts, 1000);
  EXPECT_EQ(greedy.line, 5);
  EXPECT_TRUE(greedy.AppliesTo("f16"));
  EXPECT_FALSE(greedy.AppliesTo("f16-kv8"));
  EXPECT_EQ(file.gates[1].positions, 100);
  EXPECT_EQ(file.gates[1].track, "forced");
  EXPECT_EQ(file.gates[6].rule, GateRule::kPoint);
  EXPECT_EQ(file.gates[7].against, "same-weights");
  EXPECT_EQ(file.gates[7].multiplier, 2);
  EXPECT_TRUE(file.gates[4].AppliesTo("q4-quarot"));
  EXPECT_THAT(std::string(DefaultGateText()), HasSubstr("greedy10"));
}

TEST(MatchesGlob, StarAndQuestionMark) {
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("fp8*", "fp8-row"));
  EXPECT_TRUE(MatchesGlob("q?-*o*", "q4-quarot"));
  EXPECT_FALSE(MatchesGlob("q?", "q"));
  EXPECT_FALSE(MatchesGlob("f16", "f16x"));
}

TEST(ParseGates, SettingsOfTheFile) {
  auto gates = ParseGates(File(R"({name="a", metric="kl_mean", max=1, configs=["x*", "y"]})",
                               "confidence = 0.99\non_undecided = \"fail\""),
                          "gates.toml");
  ASSERT_TRUE(gates.ok()) << gates.status();
  EXPECT_EQ(gates->confidence, 0.99);
  EXPECT_EQ(gates->on_undecided, OnUndecided::kFail);
  EXPECT_EQ(gates->gates[0].max, 1);  // an integer is a number
  EXPECT_THAT(gates->gates[0].configs, ElementsAre("x*", "y"));
}

TEST(ParseGates, ErrorsNameFileLineAndWhatMayStandThere) {
  EXPECT_THAT(ErrorOf("format = \"crosscheck-gates/1\"\ngate = [[["), StartsWith("gates.toml:2: "));
  EXPECT_THAT(ErrorOf("gate = []"), HasSubstr("crosscheck-gates/1"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x"], mx=2})")),
              testing::AllOf(StartsWith("gates.toml:4: unknown key \"mx\""), HasSubstr("max")));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x"]})", "conf = 1")),
              StartsWith("gates.toml:2: unknown key \"conf\""));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl", max=1, configs=["x"]})")),
              testing::AllOf(HasSubstr("no metric \"kl\""), HasSubstr("kl_mean")));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", configs=["x"]})")),
              HasSubstr("\"max\""));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", min=0, max=1, configs=["x"]})")),
              HasSubstr("two gates"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max="1", configs=["x"]})")),
              HasSubstr("no number"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=[]})")),
              HasSubstr("configs"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x", 1]})")),
              HasSubstr("configs"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x"], rule="mean"})")),
              HasSubstr("interval, point"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="greedy_match", min=1, configs=["x"]})")),
              HasSubstr("\"at\""));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="greedy_match", at=5, min=99, configs=["x"]})")),
              HasSubstr("between 0 and 1"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=nan, configs=["x"]})")),
              HasSubstr("finite"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="greedy_match", at=1.5, min=1, configs=["x"]})")),
              HasSubstr("no integer"));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_max", max=1, configs=["x"]})")),
              HasSubstr("rule = \"point\""));
  EXPECT_THAT(ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x"]},
 {name="a", metric="kl_mean", max=2, configs=["x"]})")),
              StartsWith("gates.toml:5: a second gate"));
  EXPECT_THAT(ErrorOf(File("1")), HasSubstr("a gate is a table"));
  EXPECT_THAT(ErrorOf("format = \"crosscheck-gates/1\"\n"), HasSubstr("at least one gate"));
  EXPECT_THAT(
      ErrorOf(File(R"({name="a", metric="kl_mean", max=1, configs=["x"]})", "confidence = 95")),
      StartsWith("gates.toml:2: \"confidence\""));
}

}  // namespace
}  // namespace crosscheck::quality
