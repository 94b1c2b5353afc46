#include "quality/metrics/greedy_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace crosscheck::quality {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using Ids = std::vector<int32_t>;

FirstDivergence Find(const Ids& a, const Ids& b, int at, std::string_view a_stop = "length",
                     std::string_view b_stop = "length") {
  return FindDivergence({a, a_stop}, {b, b_stop}, at);
}

TEST(FindDivergence, OnlyTheFirstTokensCount) {
  EXPECT_EQ(Find({1, 2, 3}, {1, 2, 4}, 2).kind, DivergenceKind::kNone);
  const FirstDivergence at2 = Find({1, 2, 3}, {1, 2, 4}, 3);
  EXPECT_EQ(at2.kind, DivergenceKind::kToken);
  EXPECT_EQ(at2.index, 2);
}

TEST(FindDivergence, AnEarlyStopNeedsTheSameReason) {
  EXPECT_EQ(Find({1, 2}, {1, 2}, 10, "eos", "eos").kind, DivergenceKind::kNone);
  EXPECT_EQ(Find({1, 2}, {1, 2}, 10, "eos", "stop").kind, DivergenceKind::kLength);
  EXPECT_EQ(Find({1, 2}, {1, 2}, 2, "eos", "length").kind, DivergenceKind::kNone);
  const FirstDivergence shorter = Find({1, 2}, {1, 2, 3}, 10, "eos", "eos");
  EXPECT_EQ(shorter.kind, DivergenceKind::kLength);
  EXPECT_EQ(shorter.index, 2);
  EXPECT_EQ(Find({1, 2}, {1, 2, 3}, 2, "eos", "eos").kind, DivergenceKind::kNone);
  EXPECT_EQ(Find({}, {}, 10, "eos", "eos").kind, DivergenceKind::kNone);
}

TEST(IsNearTie, LooksAtTheGapOfTheChosenToken) {
  EXPECT_TRUE(IsNearTie(0.25, 0.125, 0.125));
  EXPECT_FALSE(IsNearTie(0.2500001, 0.125, 0.125));
}

TEST(CountMatches, RawAndMarginAware) {
  const std::vector<FirstDivergence> divergences = {
      {}, {DivergenceKind::kToken, 3}, {DivergenceKind::kToken, 3}, {DivergenceKind::kLength, 1}};
  std::vector<PromptMatch> prompts;
  for (const FirstDivergence& first : divergences) prompts.push_back({.first = first});
  prompts[1].near_tie = true;
  EXPECT_EQ(CountMatches(prompts, 5, false), 1);
  EXPECT_EQ(CountMatches(prompts, 5, true), 2);
  EXPECT_EQ(CountMatches(prompts, 3, false), 3);  // both reach three tokens before they part
  EXPECT_EQ(CountMatches(prompts, 1, false), 4);
  const DivergenceHistogram histogram = HistogramOf(divergences, 5);
  EXPECT_THAT(histogram.by_index, ElementsAre(0, 0, 0, 2, 0));
  EXPECT_EQ(histogram.none, 1);
  EXPECT_EQ(histogram.length, 1);
}

TEST(ExpectedSurvival, IsGeometric) {
  EXPECT_THAT(ExpectedSurvival(0.1, 2),
              ElementsAre(1, DoubleNear(0.9, 1e-15), DoubleNear(0.81, 1e-15)));
}

TEST(PoissonBinomial, OfThreePositions) {
  EXPECT_THAT(PoissonBinomial({0.1, 0.3, 0.5}),
              ElementsAre(DoubleNear(0.315, 1e-15), DoubleNear(0.485, 1e-15),
                          DoubleNear(0.185, 1e-15), DoubleNear(0.015, 1e-15)));
  EXPECT_NEAR(PoissonBinomialTail({0.1, 0.3, 0.5}, 2), 0.2, 1e-15);
  EXPECT_EQ(PoissonBinomialTail({0.1, 0.3, 0.5}, 4), 0);
  EXPECT_EQ(PoissonBinomialTail({}, 0), 1);
}

}  // namespace
}  // namespace crosscheck::quality
