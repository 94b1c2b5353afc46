#include "quality/metrics/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "properties/stream.h"
#include "quality/position_stat.h"
#include "reference/metrics.h"

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kVocabulary = 248320;

const std::vector<double> kT1 = {2, 1, 0, -1}, kT1Candidate = {1.8, 1.1, 0.1, -1};

TEST(Divergence, OfFourTokens) {  // T1
  const Divergence d = DivergenceOf(kT1, kT1Candidate);
  EXPECT_NEAR(d.kl, 0.010120891282053351, 1e-16);
  EXPECT_NEAR(d.reverse_kl, 0.010358597944671104, 1e-16);
  EXPECT_NEAR(d.half_variance, 0.009853855353095308, 1e-17);
  EXPECT_NEAR(d.total_variation, 0.06922767212627381, 1e-16);
  EXPECT_NEAR(d.jensen_shannon, 0.0025571674890247724, 1e-16);
  EXPECT_NEAR(d.entropy, 0.9475369639754255, 1e-15);
  EXPECT_NEAR(100 * ProbabilityChange(2, 1.8, d), -6.92277, 1e-5);
  EXPECT_NEAR(LogProbabilityChange(2, 1.8, d), -0.11374075298765318, 1e-15);
  EXPECT_NEAR(LogProbabilityChange(1, 1.1, d), 0.18626, 1e-5);
  EXPECT_NEAR(d.largest_difference - d.least_difference, 0.3, 1e-15);
  EXPECT_NEAR(d.centred_linf, 0.2, 1e-15);
  EXPECT_NEAR(d.centred_rms, std::sqrt(0.06 / 4), 1e-15);
}

TEST(Divergence, OneTokenMovesAwayFromManyEqualOnes) {  // T2
  std::vector<double> p(kVocabulary, 0), q = p;
  q[0] = 5;
  const Divergence d = DivergenceOf(p, q);
  const double closed =
      std::log((kVocabulary - 1 + std::exp(5.0)) / kVocabulary) - 5.0 / kVocabulary;
  EXPECT_NEAR(d.kl, 5.733304651130059e-4, 1e-16);
  EXPECT_NEAR(d.kl, closed, 1e-15);  // the closed form rounds at 1
  EXPECT_NEAR(d.reverse_kl, 2.393106130865740e-3, 1e-15);
}

TEST(Divergence, GeometricLaws) {  // T3
  std::vector<double> p(kVocabulary), q(kVocabulary);
  for (int i = 0; i < kVocabulary; ++i) p[i] = -0.1 * i, q[i] = -0.12 * i;
  const Divergence d = DivergenceOf(p, q);
  const double a = 0.1, b = 0.12;
  const double closed = std::log((1 - std::exp(-a)) / (1 - std::exp(-b))) +
                        (b - a) * std::exp(-a) / (1 - std::exp(-a));
  EXPECT_NEAR(d.kl, 0.01766178603504859, 1e-15);
  EXPECT_NEAR(d.kl, closed, 1e-15);
  EXPECT_NEAR(d.reverse_kl, 0.015638234177334, 1e-15);
}

TEST(Divergence, MaskedTokens) {  // T4
  const std::vector<double> p = {0, 0, -kInfinity};
  const Divergence same = DivergenceOf(p, std::vector<double>{0.1, 0, -kInfinity});
  EXPECT_NEAR(same.kl, std::log(std::cosh(0.05)), 1e-15);
  EXPECT_NEAR(same.kl, 1.2494795136255854e-3, 1e-17);
  EXPECT_FALSE(same.support_violation());
  const Divergence other = DivergenceOf(p, std::vector<double>{0.1, -kInfinity, 0});
  EXPECT_EQ(other.kl, kInfinity);
  EXPECT_EQ(other.reverse_kl, kInfinity);
  EXPECT_TRUE(other.support_violation());
  EXPECT_EQ(other.non_finite, 0);
}

TEST(Divergence, ATokenThatOnlyTheCandidateAllows) {
  const double log2 = std::log(2.0);
  const Divergence d = DivergenceOf(std::vector<double>{0, -kInfinity}, std::vector<double>{0, 0});
  EXPECT_NEAR(d.kl, log2, 1e-15);  // p = (1, 0), q = (1/2, 1/2)
  EXPECT_EQ(d.reverse_kl, kInfinity);
  EXPECT_NEAR(d.total_variation, 0.5, 1e-15);
  EXPECT_NEAR(d.jensen_shannon, 1.5 * log2 - 0.75 * std::log(3.0), 1e-15);
}

TEST(Divergence, TinyDifferencesKeepTheirPrecision) {  // T5
  std::vector<double> p(1000), q(1000);
  for (int i = 0; i < 1000; ++i) {
    p[i] = 10 - 20.0 * i / 999;
    q[i] = p[i] + 1e-7 * std::sin(i);
  }
  // The sum of the logits itself rounds: 1e-15 of 1e-7.
  EXPECT_NEAR(DivergenceOf(p, q).kl, 2.47322953e-15, 1e-22);
  EXPECT_NEAR(DivergenceOf(p, q).jensen_shannon, 2.47322953e-15 / 4, 1e-21);
}

TEST(Divergence, OfARowAndItselfIsZero) {
  const Divergence d = DivergenceOf(kT1, kT1);
  EXPECT_EQ(d.kl, 0);
  EXPECT_EQ(d.reverse_kl, 0);
  EXPECT_EQ(d.total_variation, 0);
  EXPECT_EQ(d.jensen_shannon, 0);
}

TEST(Divergence, DoesNotSeeAShiftOrAPermutation) {
  Stream stream(1, "rows");
  std::vector<double> p(500), q(500);
  for (int i = 0; i < 500; ++i) {
    p[i] = static_cast<double>(stream.Int(-4000, 4000)) / 512;
    q[i] = p[i] + static_cast<double>(stream.Int(-100, 100)) / 512;
  }
  const double kl = DivergenceOf(p, q).kl;
  EXPECT_NEAR(kl, KlDivergence(p, q), 1e-14);  // reference/metrics.h
  std::vector<double> shifted_p = p, shifted_q = q;
  for (double& z : shifted_p) z += 1e4;
  for (double& z : shifted_q) z += 1e4;
  EXPECT_NEAR(DivergenceOf(shifted_p, shifted_q).kl, kl, 1e-11);
  std::reverse(p.begin(), p.end());
  std::reverse(q.begin(), q.end());
  EXPECT_NEAR(DivergenceOf(p, q).kl, kl, 1e-15);
}

TEST(Divergence, LawsThatAreFarApart) {
  const Divergence d = DivergenceOf(std::vector<double>{0, -1000}, std::vector<double>{-1000, 0});
  EXPECT_NEAR(d.kl, 1000, 1e-9);
  EXPECT_NEAR(d.reverse_kl, 1000, 1e-9);
  EXPECT_NEAR(d.total_variation, 1, 1e-15);
  EXPECT_NEAR(d.jensen_shannon, std::log(2.0), 1e-15);
}

TEST(Divergence, NonFiniteLogitsAreCountedAndGiveNoNumber) {
  const std::vector<double> bad = {std::nan(""), kInfinity, 0, 0};
  const Divergence d = DivergenceOf(kT1, bad);
  EXPECT_EQ(d.non_finite, 2);
  EXPECT_TRUE(std::isnan(d.kl));
  EXPECT_EQ(DivergenceOf(kT1, std::vector<double>(4, -kInfinity)).non_finite, 1);
}

TEST(ExpMinusLinear, SeriesAndFormulaMeet) {
  for (const double x : {-0.5, 0.5}) {
    EXPECT_NEAR(ExpMinusLinear(std::nextafter(x, 0)) / ExpMinusLinear(x), 1, 1e-14);
  }
  EXPECT_NEAR(ExpMinusLinear(1e-9), 5e-19, 1e-27);
  EXPECT_DOUBLE_EQ(ExpMinusLinear(1), std::exp(1.0) - 2);
}

TEST(Divergence, OfFloatsIsThatOfTheSameDoubles) {
  const std::vector<float> p = {2, 1, 0, -1}, q = {1.75f, 1.125f, 0.125f, -1};
  EXPECT_EQ(DivergenceOf(p, q).kl, DivergenceOf(std::vector<double>(p.begin(), p.end()),
                                                std::vector<double>(q.begin(), q.end()))
                                       .kl);
  EXPECT_NEAR(DivergenceOf(p, q).reference_lse, StatOf(p, -1).lse, 1e-15);
}

}  // namespace
}  // namespace crosscheck::quality
