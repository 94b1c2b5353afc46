#include "quality/metrics/layer_distance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace crosscheck::quality {
namespace {

LayerDistance::Result Of(const std::vector<double>& a, const std::vector<double>& b) {
  LayerDistance distance;
  distance.Add(a, b);
  return distance.Summary();
}

TEST(LayerDistance, LargeChannelsHideTheOthersFromTheCosine) {
  const LayerDistance::Result r = Of({100, 1, 1, 1}, {100, -1, -1, -1});
  EXPECT_NEAR(r.cosine_mean, 0.99940018, 5e-9);
  EXPECT_NEAR(r.relative_mean, 0.03464, 5e-6);
}

TEST(LayerDistance, AScaleErrorHasCosineOne) {
  const LayerDistance::Result r = Of({1, 2, -3}, {1.57, 3.14, -4.71});
  EXPECT_NEAR(r.cosine_least, 1, 1e-15);
  EXPECT_NEAR(r.relative_largest, 0.57, 1e-14);
}

TEST(LayerDistance, ZeroNormsAreCountedAndNotAveraged) {
  LayerDistance distance;
  distance.Add(std::vector<float>{0, 0}, std::vector<float>{1, 0});
  distance.Add(std::vector<float>{1, 0}, std::vector<float>{0, 0});
  EXPECT_TRUE(std::isnan(distance.Summary().cosine_mean));
  distance.Add(std::vector<float>{1, 0}, std::vector<float>{0, 1});
  EXPECT_EQ(distance.Summary().zero_norms, 2);
  EXPECT_EQ(distance.Summary().positions, 1);
  EXPECT_EQ(distance.Summary().cosine_mean, 0);
}

TEST(LayerDistance, WhatIsNoNumberIsAsFarAsCanBe) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  LayerDistance distance;
  for (int i = 0; i < 9; ++i) distance.Add(std::vector<float>{1, 0}, std::vector<float>{1, 0});
  distance.Add(std::vector<float>{1, 0}, std::vector<float>{nan, 0});
  const LayerDistance::Result r = distance.Summary();
  EXPECT_EQ(r.positions, 10);
  EXPECT_EQ(r.cosine_least, -1);
  EXPECT_TRUE(std::isinf(r.relative_largest));
}

TEST(LayerDistance, QuantilesOverPositions) {
  LayerDistance distance;
  for (int i = 0; i <= 100; ++i) {
    distance.Add(std::vector<double>{1, 0}, std::vector<double>{1, i / 100.0});
  }
  EXPECT_NEAR(distance.Summary().relative_q99, 0.99, 1e-14);
  EXPECT_NEAR(distance.Summary().cosine_q01, CosineOfRelativeError(0.99), 1e-14);
  EXPECT_NEAR(distance.Summary().cosine_least, std::sqrt(0.5), 1e-15);
}

TEST(CosineOfRelativeError, OfTheUsualThresholds) {
  EXPECT_NEAR(CosineOfRelativeError(0.0448), 0.999, 5e-6);
  EXPECT_NEAR(CosineOfRelativeError(0.1004), 0.995, 5e-5);
  EXPECT_NEAR(CosineOfRelativeError(0.0265), 0.99965, 5e-6);  // FP8
  EXPECT_NEAR(CosineOfRelativeError(0.1149), 0.9934, 1e-4);   // MXFP4: below 0.995, nothing wrong
  EXPECT_LT(CosineThreshold(0.1149), 0.9934);
}

TEST(AdapterEffect, AnIgnoredAdapter) {
  std::vector<Cluster> base, applied, ignored;
  for (int i = 1; i <= 20; ++i) {
    base.push_back({0.1 * i, 10});
    applied.push_back({0.001 * i, 10});
    ignored.push_back({0.1 * i, 10});
  }
  const EffectRatio good = AdapterEffect(applied, base, 0.95, Stream(1, "effect"));
  EXPECT_NEAR(good.ratio, 0.01, 1e-15);
  EXPECT_FALSE(good.hardly_applied());
  const EffectRatio bad = AdapterEffect(ignored, base, 0.95, Stream(1, "effect"));
  EXPECT_NEAR(bad.interval.lower, 1, 1e-12);
  EXPECT_TRUE(bad.hardly_applied());
  EXPECT_TRUE(
      std::isnan(AdapterEffect(base, std::vector<Cluster>(20), 0.95, Stream(1, "e")).ratio));
}

}  // namespace
}  // namespace crosscheck::quality
