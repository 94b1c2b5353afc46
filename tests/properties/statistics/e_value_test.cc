#include "properties/statistics/e_value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "properties/stream.h"

namespace crosscheck {
namespace {

using Values = std::vector<double>;

// The effect of V#54282 (judging.md 8.7): w = 0.0706.
const Values kLaw = {0.1, 0.6, 0.3};
const Values kBiased = {0.1016, 0.6304, 0.2680};

size_t Draw(Stream& stream, const Values& p) {
  double u = static_cast<double>(stream.Next() >> 11) * 0x1p-53;
  size_t i = 0;
  while (i + 1 < p.size() && u >= p[i]) u -= p[i++];
  return i;
}

// Draws of the biased law until the evidence against kLaw reaches e; at most `most`.
int64_t DrawsUntil(double e, uint64_t seed, const Values& truth, int64_t most) {
  Stream stream(seed, "e-value");
  MixtureEvidence evidence(kLaw);
  while (evidence.draws() < most && evidence.log_e() < std::log(e))
    evidence.Add(Draw(stream, truth));
  return evidence.log_e() < std::log(e) ? most + 1 : evidence.draws();
}

TEST(MixtureEvidenceTest, EqualsTheClosedForm) {
  const std::vector<int> cells = {1, 1, 2, 1, 0, 1, 2, 1, 1, 1};
  MixtureEvidence evidence(kLaw);
  std::vector<double> n(3);
  for (const int cell : cells) {
    evidence.Add(static_cast<size_t>(cell));
    ++n[static_cast<size_t>(cell)];
  }
  const double kappa = kMixtureConcentration;
  double closed = std::lgamma(kappa) - std::lgamma(10 + kappa);
  for (size_t i = 0; i < 3; ++i) {
    closed += std::lgamma(n[i] + kappa * kLaw[i]) - std::lgamma(kappa * kLaw[i]) -
              n[i] * std::log(kLaw[i]);
  }
  EXPECT_NEAR(evidence.log_e(), closed, 1e-9);
  EXPECT_EQ(evidence.draws(), 10);
}

TEST(MixtureEvidenceTest, ImpossibleCellIsInfinite) {
  MixtureEvidence evidence({0, 1});
  evidence.Add(1);
  EXPECT_EQ(evidence.log_e(), 0);
  evidence.Add(0);
  EXPECT_TRUE(std::isinf(evidence.log_e()));
}

TEST(MixtureEvidenceTest, FindsASmallBiasInTheDrawsThatWereSimulated) {
  constexpr int kRuns = 600;
  std::vector<int64_t> small, large;
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    small.push_back(DrawsUntil(1e6, seed, kBiased, 40000));
    large.push_back(DrawsUntil(kCaseThreshold, seed, kBiased, 40000));
  }
  std::sort(small.begin(), small.end());
  std::sort(large.begin(), large.end());
  EXPECT_NEAR(static_cast<double>(small[kRuns / 2]), 6800, 600);
  EXPECT_NEAR(static_cast<double>(large[kRuns / 2]), 12300, 800);
  EXPECT_LE(large[kRuns * 99 / 100], 22000);
  RecordProperty("median", std::to_string(large[kRuns / 2]));
  RecordProperty("percentile_99", std::to_string(large[kRuns * 99 / 100]));
}

TEST(MixtureEvidenceTest, LookingAfterEveryDrawCostsNothing) {
  constexpr int kRuns = 2000;
  int alarms = 0;
  for (uint64_t seed = 0; seed < kRuns; ++seed) alarms += DrawsUntil(100, seed, kLaw, 3000) <= 3000;
  EXPECT_LE(alarms, kRuns / 100);  // Ville: at most 1 %
}

TEST(LogAverageTest, IsTheLogarithmOfTheAverage) {
  EXPECT_NEAR(LogAverage(Values{std::log(2.0), std::log(6.0)}, Values{0.5, 0.5}), std::log(4.0),
              1e-12);
  EXPECT_NEAR(LogAverage(Values{800, 0}, Values{0.5, 0.5}), 800 + std::log(0.5), 1e-9);
  EXPECT_TRUE(std::isinf(LogAverage(Values{INFINITY, 0}, Values{0.5, 0.5})));
}

}  // namespace
}  // namespace crosscheck
