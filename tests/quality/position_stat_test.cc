#include "quality/position_stat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace crosscheck::quality {
namespace {

TEST(PositionStat, OfTheWorkedRow) {
  const std::vector<double> logits = {2, 1, 0, -1};
  const PositionStat stat = StatOf(logits, 1);
  EXPECT_NEAR(stat.lse, 2.4401896985611953, 1e-15);
  EXPECT_EQ(stat.max, 2);
  EXPECT_EQ(stat.second, 1);
  EXPECT_EQ(stat.argmax, 0);
  EXPECT_NEAR(stat.entropy, 0.9475369639754255, 1e-15);  // H(p) of quality.md 3.1
  EXPECT_NEAR(stat.target_logprob, 1 - 2.4401896985611953, 1e-15);
}

TEST(PositionStat, TheLowestIdWinsTiesAndTheyAreCounted) {
  const std::vector<float> logits = {0, 3, 3, 3};
  const PositionStat stat = StatOf(logits, -1);
  EXPECT_EQ(stat.argmax, 1);
  EXPECT_EQ(stat.ties, 2);
  EXPECT_EQ(stat.margin(), 0);
  EXPECT_TRUE(std::isnan(stat.target_logprob));
}

TEST(PositionStat, CountsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const PositionStat masked = StatOf(std::vector<float>{1, -kInfinity, 0}, 1);
  EXPECT_TRUE(masked.finite());
  EXPECT_EQ(masked.negative_infinities, 1);
  EXPECT_EQ(masked.target_logprob, -kInfinity);
  EXPECT_FALSE(StatOf(std::vector<float>{1, std::nanf("")}, 0).finite());
  EXPECT_FALSE(StatOf(std::vector<float>{1, kInfinity}, 0).finite());
  EXPECT_FALSE(StatOf(std::vector<float>{-kInfinity}, 0).finite());
}

}  // namespace
}  // namespace crosscheck::quality
