#include "properties/statistics/goodness_of_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "properties/statistics/pooling.h"

namespace crosscheck {
namespace {

using Values = std::vector<double>;

// The table of judging.md 8.4: the non-centrality of power 0.99.
TEST(PowerTest, NoncentralityOfPower99) {
  const int freedom[] = {2, 9, 31, 63, 255, 1023};
  const double alphas[] = {1e-3, 1e-6, 1e-9, 1e-12};
  const double table[6][4] = {{35.2, 56.3, 75.6, 94.1},     {48.2, 72.1, 93.2, 113.0},
                              {68.5, 97.9, 122.8, 145.6},   {87.0, 121.8, 150.6, 176.6},
                              {149.1, 202.8, 245.5, 282.8}, {272.3, 363.7, 434.5, 495.1}};
  for (int row = 0; row < 6; ++row) {
    for (int column = 0; column < 4; ++column) {
      const double lambda = NoncentralityFor(0.99, freedom[row], alphas[column]);
      EXPECT_NEAR(lambda, table[row][column], 0.06) << freedom[row] << " " << alphas[column];
      EXPECT_NEAR(ChiSquarePower(lambda, freedom[row], alphas[column]), 0.99, 1e-6);
    }
  }
}

TEST(PowerTest, DrawsForASmallBias) {
  const Values p = {0.1, 0.6, 0.3}, q = {0.1016, 0.6304, 0.2680};
  const double w = EffectSize(p, q);
  EXPECT_NEAR(w, 0.0706, 1e-4);
  EXPECT_NEAR(NoncentralityFor(0.99, 2, 1e-6) / (w * w), 11300, 30);
  EXPECT_NEAR(NoncentralityFor(0.99, 63, 1e-9) / (0.05 * 0.05), 60240, 30);
  EXPECT_NEAR(NoncentralityFor(0.99, 63, 1e-9) / (0.3 * 0.3), 1673, 3);
}

TEST(ChiSquareTest, PearsonByHand) {
  // (3^2 + 1 + 4) / 10 over three cells.
  const TestResult result = PearsonTest(Values{13, 9, 8}, Values{10, 10, 10});
  EXPECT_DOUBLE_EQ(result.statistic, 1.4);
  EXPECT_EQ(result.degrees_of_freedom, 2);
  EXPECT_NEAR(result.p_value, std::exp(-0.7), 1e-12);  // two degrees: exp(-x/2)
}

TEST(ChiSquareTest, LikelihoodRatioIsTwiceTheDivergence) {
  const TestResult result = LikelihoodRatioTest(Values{20, 0}, Values{10, 10});
  EXPECT_NEAR(result.statistic, 40 * std::log(2), 1e-12);
  EXPECT_EQ(LikelihoodRatioTest(Values{7, 3}, Values{7, 3}).p_value, 1);
}

TEST(ChiSquareTest, CriticalValueIsTheInverseOfTheTail) {
  EXPECT_NEAR(ChiSquareTail(ChiSquareCritical(9, 1e-3), 9), 1e-3, 1e-12);
  EXPECT_EQ(ChiSquareTail(3, 0), 1);
}

TEST(BinomialTest, TailsAreExact) {
  EXPECT_NEAR(BinomialUpperTail(2, 3, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(BinomialLowerTail(0, 3, 0.5), 0.125, 1e-12);
  EXPECT_EQ(BinomialUpperTail(1, 10, 0), 0);
  EXPECT_EQ(BinomialUpperTail(0, 10, 0), 1);
  EXPECT_EQ(BinomialLowerTail(9, 10, 1), 0);
}

TEST(PoolingTest, RareOutcomesShareTheTail) {
  const Pooling pooling = PoolOutcomes(Values{0.001, 0.6, 0, 0.397, 0.002}, 1000);
  EXPECT_TRUE(pooling.has_tail);
  EXPECT_EQ(pooling.cell_of, (std::vector<int>{0, 1, -1, 2, 0}));
  ASSERT_EQ(pooling.probability.size(), 3u);
  EXPECT_NEAR(pooling.probability[0], 0.003, 1e-15);
}

TEST(PoolingTest, NoTailWhereEveryOutcomeIsFrequent) {
  const Pooling pooling = PoolOutcomes(Values{0.5, 0.5}, 10);
  EXPECT_FALSE(pooling.has_tail);
  EXPECT_EQ(pooling.probability.size(), 2u);
}

TEST(PoolingTest, CellsAreCapped) {
  const Pooling pooling = PoolOutcomes(Values(100, 0.01), 100000, 64);
  ASSERT_EQ(pooling.probability.size(), 64u);
  EXPECT_NEAR(pooling.probability[0], 0.37, 1e-12);
  EXPECT_FALSE(PoolOutcomes(Values(64, 1.0 / 64), 100000, 64).has_tail);
}

TEST(PoolingTest, RareCellsAreMergedForChiSquare) {
  const std::vector<int64_t> observed = {1, 4, 50};
  const PooledCounts counts = MergeRareCells(observed, Values{2, 3, 50});
  EXPECT_EQ(counts.observed, (Values{5, 50}));
  EXPECT_EQ(counts.expected, (Values{5, 50}));
}

}  // namespace
}  // namespace crosscheck
