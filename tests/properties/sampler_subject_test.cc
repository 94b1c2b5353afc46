#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "properties/subjects/sampler.h"

namespace crosscheck {
namespace {

TEST(MakeLogitsTest, AreAFunctionOfTheRecipe) {
  const LogitRecipe recipe{.vocab = 5, .spread = 3.6875, .seed = 1};
  EXPECT_EQ(MakeLogits(recipe), MakeLogits(recipe));
  // The same bits on every machine.
  const std::vector<float> logits = MakeLogits(recipe);
  const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
  EXPECT_LE(*most - *least, 3.6875f);
  for (const float logit : logits) {
    EXPECT_EQ(logit * 256 * 16, std::round(logit * 256 * 16)) << logit;
  }
}

TEST(MakeLogitsTest, EveryStyleHasAFiniteLargest) {
  for (int style = 0; style < 6; ++style) {
    for (uint64_t seed = 0; seed < 500; ++seed) {
      const std::vector<float> logits = MakeLogits(
          {.vocab = 3, .style = static_cast<LogitStyle>(style), .spread = 8, .seed = seed});
      EXPECT_TRUE(std::isfinite(*std::max_element(logits.begin(), logits.end())));
    }
  }
}

TEST(MakeLogitsTest, StylesShowWhatTheyAreFor) {
  const auto distinct = [](LogitStyle style) {
    const std::vector<float> logits =
        MakeLogits({.vocab = 64, .style = style, .spread = 8, .centre = 8, .seed = 3});
    return std::set<float>(logits.begin(), logits.end());
  };
  EXPECT_LE(distinct(LogitStyle::kTied).size(), 5u);
  EXPECT_GT(distinct(LogitStyle::kNearTied).size(), 5u);
  EXPECT_LE(distinct(LogitStyle::kNearTied).size(), 15u);
  EXPECT_TRUE(std::isinf(*distinct(LogitStyle::kMasked).begin()));
  EXPECT_GT(*distinct(LogitStyle::kOutlier).rbegin(), 20);
}

TEST(SeedAtTest, KindsAreWhatUsersWrite) {
  SamplerCase c;
  c.seeds = SeedKind::kConsecutive;
  c.seed = 4;
  EXPECT_EQ(SeedAt(c, 0), 0u);
  EXPECT_EQ(SeedAt(c, 9), 9u);
  c.seeds = SeedKind::kSeconds;
  EXPECT_EQ(SeedAt(c, 5) - SeedAt(c, 0), 5u);
  EXPECT_GT(SeedAt(c, 0), 1'600'000'000u);
  c.seeds = SeedKind::kNanoseconds;
  EXPECT_LT(SeedAt(c, 7), SeedAt(c, 8));
  EXPECT_GT(SeedAt(c, 0), 1'600'000'000'000'000'000u);
}

}  // namespace
}  // namespace crosscheck
