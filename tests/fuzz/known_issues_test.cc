#include "fuzz/known_issues.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/planted_bugs.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

constexpr std::string_view kLine =
    "planted/fake/race/state | fake | when width > 30 and items = 2 | until 0.16.0 | see notes | "
    "a.case";

KnownIssue ParseOne(std::string_view line) {
  absl::StatusOr<std::vector<KnownIssue>> issues = ParseKnownIssues(line, "known.txt");
  EXPECT_TRUE(issues.ok()) << issues.status();
  return issues.ok() && issues->size() == 1 ? issues->front() : KnownIssue();
}

std::string ErrorOf(std::string_view text) {
  return std::string(ParseKnownIssues(text, "known.txt").status().message());
}

bool Matches(const KnownIssue& issue, std::string_view version, const Case& c) {
  return issue.Matches({"planted", "fake", "race", ErrorClass::kState}, "fake", version, c);
}

TEST(KnownIssuesTest, ParsesEveryColumn) {
  const absl::StatusOr<std::vector<KnownIssue>> issues =
      ParseKnownIssues(std::string("# a comment\n\n") + std::string(kLine) + "\n", "known.txt");
  ASSERT_TRUE(issues.ok()) << issues.status();
  ASSERT_EQ(issues->size(), 1u);
  const KnownIssue& issue = issues->front();
  EXPECT_EQ(issue.signature.ToString(), "planted/fake/race/state");
  EXPECT_EQ(issue.engine, "fake");
  ASSERT_EQ(issue.when.size(), 2u);
  EXPECT_EQ(issue.when[0].field, "width");
  EXPECT_EQ(issue.when[0].comparison, ">");
  EXPECT_EQ(issue.when[0].value, "30");
  EXPECT_EQ(issue.when[1].comparison, "=");
  EXPECT_EQ(issue.until, "0.16.0");
  EXPECT_EQ(issue.explanation, "see notes");
  EXPECT_EQ(issue.case_file, "a.case");
  EXPECT_EQ(issue.line, 3);
}

TEST(KnownIssuesTest, MatchesOnlyCasesInsideEveryCondition) {
  const KnownIssue issue = ParseOne(kLine);
  EXPECT_TRUE(Matches(issue, "0.15.0", MakePlanted({1, 2}, 31)));
  EXPECT_FALSE(Matches(issue, "0.15.0", MakePlanted({1, 2}, 30)));
  EXPECT_FALSE(Matches(issue, "0.15.0", MakePlanted({1}, 31)));
}

TEST(KnownIssuesTest, NumbersAreComparedAsNumbers) {
  EXPECT_TRUE(Matches(ParseOne("planted/fake/race/state|fake|when width < 9|until|why|a.case"), "1",
                      MakePlanted({}, 8)));
  EXPECT_FALSE(Matches(ParseOne("planted/fake/race/state|fake|when width < 9|until|why|a.case"),
                       "1", MakePlanted({}, 10)));
}

TEST(KnownIssuesTest, AValueMayBeAnotherField) {
  const KnownIssue same =
      ParseOne("planted/fake/race/state|fake|when items = $width|until|why|a.case");
  EXPECT_TRUE(Matches(same, "1", MakePlanted({7, 7}, 2)));
  EXPECT_FALSE(Matches(same, "1", MakePlanted({7, 7}, 3)));
}

TEST(KnownIssuesTest, FieldsThatTheCaseLacksNeverMatch) {
  EXPECT_FALSE(Matches(ParseOne("planted/fake/race/state|fake|when wdith != 9|until|why|a.case"),
                       "1", MakePlanted({}, 8)));
}

TEST(KnownIssuesTest, ConditionOnAListElement) {
  const KnownIssue issue =
      ParseOne("planted/fake/race/state|fake|when items.1 >= 7|until|why|a.case");
  EXPECT_TRUE(Matches(issue, "1", MakePlanted({0, 7}, 0)));
  EXPECT_FALSE(Matches(issue, "1", MakePlanted({7, 0}, 0)));
}

TEST(KnownIssuesTest, StarIsOneElementOfAListForAllItsConditions) {
  const auto line = [](const std::string& when) {
    return ParseOne("planted/fake/race/state|fake|when " + when + "|until|why|a.case");
  };
  EXPECT_TRUE(Matches(line("items.* = 7"), "1", MakePlanted({0, 7}, 0)));
  EXPECT_FALSE(Matches(line("items.* = 7"), "1", MakePlanted({0, 6}, 0)));
  EXPECT_FALSE(Matches(line("items.* != 7"), "1", MakePlanted({}, 0)));
  const KnownIssue between = line("items.* > 3 and width = 2 and items.* < 7");
  EXPECT_TRUE(Matches(between, "1", MakePlanted({0, 5}, 2)));
  EXPECT_FALSE(Matches(between, "1", MakePlanted({0, 5}, 1)));
  EXPECT_FALSE(Matches(between, "1", MakePlanted({1, 9}, 2)));
}

TEST(KnownIssuesTest, EqualityTakesTextAndOrderDoesNot) {
  const auto parses = [](const std::string& when) {
    return ParseKnownIssues("planted/fake/race/state|fake|when " + when + "|until|why|a.case\n",
                            "known.txt")
        .ok();
  };
  EXPECT_TRUE(parses("path = readout and mutations.0.key = */tie_word_embeddings"));
  EXPECT_TRUE(parses("path != readout"));
  EXPECT_FALSE(parses("path < readout"));
}

TEST(KnownIssuesTest, AlwaysHasNoCondition) {
  EXPECT_TRUE(
      Matches(ParseOne("planted/fake/race/state | fake | when always | until | why | a.case"), "1",
              MakePlanted({}, 0)));
}

TEST(KnownIssuesTest, HoldsOnlyBeforeTheVersionThatFixesIt) {
  const KnownIssue issue = ParseOne(kLine);
  const Case c = MakePlanted({1, 2}, 31);
  EXPECT_TRUE(Matches(issue, "0.9.7", c));
  EXPECT_FALSE(Matches(issue, "0.16.0", c));
  EXPECT_FALSE(Matches(issue, "0.16.1", c));
  EXPECT_FALSE(Matches(issue, "1", c));
  EXPECT_FALSE(Matches(issue, "unknown", c));
}

TEST(KnownIssuesTest, EngineMayNameTheVersion) {
  const KnownIssue issue =
      ParseOne("planted/fake/race/state | fake@0.4.0 | when always | until | why | a.case");
  EXPECT_TRUE(Matches(issue, "0.4.0", MakePlanted({}, 0)));
  EXPECT_FALSE(Matches(issue, "0.4.1", MakePlanted({}, 0)));
}

TEST(KnownIssuesTest, OtherSignaturesAndEnginesAreFindings) {
  const KnownIssue issue = ParseOne(kLine);
  const Case c = MakePlanted({1, 2}, 31);
  EXPECT_FALSE(issue.Matches({"planted", "fake", "race", ErrorClass::kCrash}, "fake", "0.1", c));
  EXPECT_FALSE(issue.Matches({"planted", "other", "race", ErrorClass::kState}, "other", "0.1", c));
}

TEST(KnownIssuesTest, ErrorsNameFileLineAndColumn) {
  EXPECT_THAT(ErrorOf("\na/b/c/state | x"),
              HasSubstr("known.txt:2:1: found 2 columns, expected 6"));
  EXPECT_THAT(ErrorOf("a/b/c/nonsense | e | when always | until | why | f"),
              HasSubstr("known.txt:1:1: "));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | whenever | until | why | f"),
              HasSubstr("known.txt:1:19: expected 'when"));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | when width | until | why | f"),
              HasSubstr("known.txt:1:24: expected '<field> <comparison> <value>'"));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | when width == 3 | until | why | f"),
              HasSubstr("known.txt:1:30: a comparison is one of"));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | when path > readout | until | why | f"),
              HasSubstr("known.txt:1:29: '>' needs a number"));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | when always | 0.16 | why | f"),
              HasSubstr("known.txt:1:33: expected 'until"));
  EXPECT_THAT(ErrorOf("a/b/c/state | e | when always | until |  | f"),
              HasSubstr("the explanation is missing"));
}

TEST(KnownIssuesTest, MissingFileIsAnEmptyList) {
  const auto issues = ReadKnownIssues(testing::TempDir() + "no such folder/known_issues.txt");
  ASSERT_TRUE(issues.ok()) << issues.status();
  EXPECT_TRUE(issues->empty());
}

}  // namespace
}  // namespace crosscheck
