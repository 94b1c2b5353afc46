#include "properties/statistics/independence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "properties/stream.h"

namespace crosscheck {
namespace {

std::vector<double> Uniforms(size_t n, std::string_view name) {
  Stream stream(7, name);
  std::vector<double> u(n);
  for (double& value : u) value = static_cast<double>(stream.Next() >> 11) * 0x1p-53;
  return u;
}

TEST(RandomisedTransformTest, RunsOverDecreasingProbability) {
  const std::vector<double> p = {0.2, 0.5, 0.3};
  EXPECT_DOUBLE_EQ(RandomisedTransform(p, 1, 0.5), 0.25);
  EXPECT_DOUBLE_EQ(RandomisedTransform(p, 2, 0), 0.5);
  EXPECT_DOUBLE_EQ(RandomisedTransform(p, 0, 1), 1);
  EXPECT_DOUBLE_EQ(RandomisedTransform(std::vector<double>{0.5, 0.5}, 1, 0), 0.5);
}

TEST(RandomisedTransformTest, IsUniformUnderItsLaw) {
  const std::vector<double> p = {0.2, 0.5, 0.3};
  const std::vector<double> draws = Uniforms(5000, "draws"), v = Uniforms(5000, "v");
  std::vector<double> u;
  for (size_t i = 0; i < draws.size(); ++i) {
    const int token = draws[i] < 0.2 ? 0 : draws[i] < 0.7 ? 1 : 2;
    u.push_back(RandomisedTransform(p, token, v[i]));
  }
  EXPECT_GT(KolmogorovSmirnovTest(u).p_value, 1e-3);
}

TEST(KolmogorovSmirnovTest, KnownDistanceAndTail) {
  const KolmogorovSmirnov result = KolmogorovSmirnovTest({0.1, 0.2, 0.3});
  EXPECT_DOUBLE_EQ(result.distance, 0.7);
  // The asymptotic 5 % point is 1.358.
  std::vector<double> u;
  constexpr int kDraws = 1000000;
  for (int i = 0; i < kDraws; ++i) u.push_back((i + 0.5) / kDraws * (1 - 1.358 / 1000));
  EXPECT_NEAR(KolmogorovSmirnovTest(u).p_value, 0.05, 1e-3);
  EXPECT_EQ(KolmogorovSmirnovTest({}).p_value, 1);
}

TEST(LagTest, PairsDoNotOverlap) {
  const std::vector<double> u = {0, 0.99, 0.5, 0.2, 0, 0.1};
  EXPECT_EQ(LagCells(u, 1), (std::vector<int>{7, 8 * 4 + 1, 0}));
  EXPECT_EQ(LagCells(u, 2), (std::vector<int>{4, 8 * 7 + 1}));
  EXPECT_EQ(LagCells(u, 4), (std::vector<int>{}));
}

TEST(LagTest, SeesARepeatedStreamAndNotAnIndependentOne) {
  std::vector<double> u = Uniforms(4000, "lag");
  for (int lag = 1; lag <= kLags; ++lag) EXPECT_GT(LagTest(u, lag).p_value, 1e-3) << lag;
  for (size_t i = 3; i < u.size(); i += 6) u[i] = u[i - 3];
  EXPECT_LT(LagTest(u, 3).p_value, 1e-12);
}

TEST(LagTest, TooFewPairsAreNotTested) {
  EXPECT_EQ(LagTest(Uniforms(600, "few"), 1).degrees_of_freedom, 0);
  EXPECT_EQ(LagTest(Uniforms(640, "few"), 1).degrees_of_freedom, 63);
}

TEST(ExtremeTailTest, SeesUniformsOfFewBits) {
  std::vector<double> u = Uniforms(100000, "tail");
  EXPECT_GT(ExtremeTailTest(u, 1e-3), 1e-3);
  for (double& value : u) value = std::ceil(value * 512) / 512;  // never below 1/512
  EXPECT_LT(ExtremeTailTest(u, 1e-3), 1e-12);
}

TEST(CollisionTest, OneTokenOfAllSeedsIsTooMany) {
  // kekzl/imp#1143: one distinct token in 200 consecutive seeds.
  const std::vector<int64_t> counts = {200, 0, 0, 0};
  const Collisions result = CollisionTest(counts, std::vector<double>(4, 0.25));
  EXPECT_EQ(result.observed, 200 * 199 / 2);
  EXPECT_NEAR(result.expected, 200 * 199 / 8.0, 1e-9);
  EXPECT_LT(result.p_value, 1e-12);
}

TEST(CollisionTest, StratifiedSeedsAreTooFew) {
  const std::vector<int64_t> counts(16, 1000);
  EXPECT_LT(CollisionTest(counts, std::vector<double>(16, 1.0 / 16)).p_value, 1e-2);
}

TEST(CollisionTest, FewExpectedUsesThePoissonTail) {
  const std::vector<double> p(1000, 1e-3);
  std::vector<int64_t> counts(1000);
  for (int i = 0; i < 20; ++i) counts[static_cast<size_t>(i)] = 1;
  EXPECT_EQ(CollisionTest(counts, p).p_value, 1);
  counts[0] = 4;  // 6 pairs, 0.25 expected
  EXPECT_LT(CollisionTest(counts, p).p_value, 1e-6);
}

TEST(CollisionTest, APointLawSaysNothing) {
  EXPECT_EQ(CollisionTest(std::vector<int64_t>{50}, std::vector<double>{1.0}).p_value, 1);
}

}  // namespace
}  // namespace crosscheck
