#include "quality/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "properties/stream.h"

namespace crosscheck::quality {
namespace {

using ::testing::HasSubstr;

Gate AtLeast(double bound) {
  Gate gate;
  gate.metric.kind = MetricKind::kRate;
  gate.min = bound;
  return gate;
}

Gate AtMost(double bound) {
  Gate gate;
  gate.metric.kind = MetricKind::kRate;
  gate.max = bound;
  return gate;
}

TEST(RateLimits, AreExact) {
  EXPECT_NEAR(RateLimits(100, 100, 0.95).lower, 0.9705, 5e-5);
  EXPECT_EQ(RateLimits(100, 100, 0.95).upper, 1);
  EXPECT_EQ(RateLimits(0, 100, 0.95).lower, 0);
  EXPECT_NEAR(RateLimits(0, 100, 0.95).upper, 1 - RateLimits(100, 100, 0.95).lower, 1e-12);
  EXPECT_EQ(RateLimits(0, 0, 0.95).upper, 1);
}

TEST(WilsonInterval, OfHalf) {  // z = 1.959964; (0.5 +- 0.0961)/(1 + z^2/n)
  const Interval interval = WilsonInterval(50, 100, 0.95);
  EXPECT_NEAR(interval.lower, 0.403832, 1e-6);
  EXPECT_NEAR(interval.upper, 0.596168, 1e-6);
}

TEST(TrialsToPass, TableOfTheManual) {
  const int64_t at99[] = {299, 473, 628, 773}, at95[] = {59, 93, 124, 153};
  for (int misses = 0; misses < 4; ++misses) {
    EXPECT_EQ(TrialsToPass(0.99, misses, 0.95), at99[misses]) << misses;
    EXPECT_EQ(TrialsToPass(0.95, misses, 0.95), at95[misses]) << misses;
  }
}

TEST(TrialsToFail, TableOfTheManual) {
  const int64_t at99[] = {35, 82, 137, 198}, at95[] = {7, 16, 28, 40};
  for (int misses = 2; misses < 6; ++misses) {
    EXPECT_EQ(TrialsToFail(0.99, misses, 0.95), at99[misses - 2]) << misses;
    EXPECT_EQ(TrialsToFail(0.95, misses, 0.95), at95[misses - 2]) << misses;
  }
  EXPECT_EQ(TrialsToFail(0.99, 0, 0.95), 0);
}

TEST(DecideRate, SaysHowManyPromptsAreMissing) {
  EXPECT_EQ(DecideRate(AtLeast(0.99), 299, 299, 0.95).outcome, Outcome::kPass);
  const Decision open = DecideRate(AtLeast(0.99), 100, 100, 0.95);
  EXPECT_EQ(open.outcome, Outcome::kUndecided);
  EXPECT_EQ(open.more, 199);
  EXPECT_THAT(open.reason, HasSubstr("100/100"));
  EXPECT_THAT(open.reason, HasSubstr("needs 199 more prompts without a miss"));
  EXPECT_EQ(DecideRate(AtLeast(0.99), 33, 35, 0.95).outcome, Outcome::kFail);
  EXPECT_EQ(DecideRate(AtLeast(0.99), 34, 36, 0.95).outcome, Outcome::kUndecided);
  EXPECT_EQ(DecideRate(AtLeast(0.99), 0, 0, 0.95).outcome, Outcome::kUndecided);
}

TEST(DecideRate, OfAnUpperBound) {
  EXPECT_EQ(DecideRate(AtMost(0.01), 0, 299, 0.95).outcome, Outcome::kPass);
  const Decision open = DecideRate(AtMost(0.01), 0, 298, 0.95);
  EXPECT_EQ(open.outcome, Outcome::kUndecided);
  EXPECT_EQ(open.more, 1);
  EXPECT_EQ(DecideRate(AtMost(0.01), 2, 35, 0.95).outcome, Outcome::kFail);
}

TEST(DecideRate, ThePointRuleIsTheLiteralCriterion) {
  Gate gate = AtLeast(0.99);
  gate.rule = GateRule::kPoint;
  EXPECT_EQ(DecideRate(gate, 99, 100, 0.95).outcome, Outcome::kPass);
  EXPECT_EQ(DecideRate(gate, 98, 100, 0.95).outcome, Outcome::kFail);
  EXPECT_THAT(DecideRate(gate, 99, 100, 0.95).reason, HasSubstr("estimate alone"));
  Gate garbled = AtMost(0);
  garbled.rule = GateRule::kPoint;
  EXPECT_EQ(DecideRate(garbled, 0, 4, 0.95).outcome, Outcome::kPass);
  EXPECT_EQ(DecideRate(garbled, 1, 400, 0.95).outcome, Outcome::kFail);
}

TEST(DecideMean, ByItsOneSidedLimits) {
  const MeanEstimate kl{.mean = 0.01, .standard_error = 0.001, .clusters = 50};
  const double half = StudentQuantile(0.95, 49) * 0.001;
  EXPECT_EQ(DecideMean(AtMost(0.01 + 1.01 * half), kl, 0.95).outcome, Outcome::kPass);
  EXPECT_EQ(DecideMean(AtMost(0.01 + 0.99 * half), kl, 0.95).outcome, Outcome::kUndecided);
  EXPECT_EQ(DecideMean(AtMost(0.01), kl, 0.95).outcome, Outcome::kUndecided);  // at its bound
  EXPECT_EQ(DecideMean(AtMost(0.01 - 0.99 * half), kl, 0.95).outcome, Outcome::kUndecided);
  EXPECT_EQ(DecideMean(AtMost(0.01 - 1.01 * half), kl, 0.95).outcome, Outcome::kFail);
  EXPECT_EQ(DecideMean(AtLeast(0.01 - 1.01 * half), kl, 0.95).outcome, Outcome::kPass);
  // n_more = ceil((t sd / distance)^2) - m with sd = se sqrt(m).
  EXPECT_EQ(DecideMean(AtMost(0.01 + half / 2), kl, 0.95).more, 150);
}

TEST(DecideMean, FewClustersDecideNothing) {
  const MeanEstimate kl{.mean = 0, .standard_error = 0, .clusters = 9};
  const Decision d = DecideMean(AtMost(1), kl, 0.95);
  EXPECT_EQ(d.outcome, Outcome::kUndecided);
  EXPECT_THAT(d.reason, HasSubstr("few clusters"));
  EXPECT_EQ(d.more, 1);
  Gate point = AtMost(1);
  point.rule = GateRule::kPoint;
  EXPECT_EQ(DecideMean(point, kl, 0.95).outcome, Outcome::kPass);
}

TEST(DecideLayers, BySharesAndBoundsOfTheirOwn) {
  std::vector<double> cosines(10, 0.9999);
  Gate gate = AtLeast(0.999);
  cosines[3] = 0.9;
  EXPECT_EQ(DecideLayers(gate, cosines).outcome, Outcome::kPass);
  cosines[4] = std::nan("");
  EXPECT_EQ(DecideLayers(gate, cosines).outcome, Outcome::kFail);
  gate.share_of_layers = 0.8;
  EXPECT_EQ(DecideLayers(gate, cosines).outcome, Outcome::kPass);
  EXPECT_EQ(DecideLayers(gate, {}).outcome, Outcome::kUndecided);
  Gate added;
  added.share_of_layers = 1;
  EXPECT_EQ(DecideLayers(added, {0.2, 1}).outcome, Outcome::kPass);
  EXPECT_EQ(DecideLayers(added, {0.2, 1.01}).outcome, Outcome::kFail);
}

TEST(LogEvidence, PromptsWithoutAMissUntilProven) {
  EXPECT_GE(LogEvidenceAbove(0.99, 449, 0), std::log(20));
  EXPECT_LT(LogEvidenceAbove(0.99, 448, 0), std::log(20));
  EXPECT_GE(LogEvidenceAbove(0.95, 88, 0), std::log(20));
  EXPECT_LT(LogEvidenceAbove(0.95, 87, 0), std::log(20));
  EXPECT_EQ(DecideSequentially(AtLeast(0.99), 449, 449, 0.95).outcome, Outcome::kPass);
  EXPECT_EQ(DecideSequentially(AtLeast(0.99), 448, 448, 0.95).outcome, Outcome::kUndecided);
  EXPECT_EQ(DecideSequentially(AtLeast(0.99), 90, 100, 0.95).outcome, Outcome::kFail);
  EXPECT_EQ(DecideSequentially(AtMost(0.01), 0, 449, 0.95).outcome, Outcome::kPass);
  EXPECT_EQ(DecideSequentially(AtMost(0.01), 10, 100, 0.95).outcome, Outcome::kFail);
}

TEST(DecideInOrder, StopsAtTheFirstDecision) {
  const Gate gate = AtLeast(0.95);
  std::vector<bool> outcomes(87, true);
  Decision d = DecideInOrder(gate, outcomes, 0.95);
  EXPECT_EQ(d.outcome, Outcome::kUndecided);
  EXPECT_EQ(d.trials, 87);
  outcomes.push_back(true);
  outcomes.insert(outcomes.end(), 50, false);  // what comes after the decision does not count
  d = DecideInOrder(gate, outcomes, 0.95);
  EXPECT_EQ(d.outcome, Outcome::kPass);
  EXPECT_EQ(d.trials, 88);
  EXPECT_THAT(d.reason, HasSubstr("88/88"));
  d = DecideInOrder(gate, std::vector<bool>(50, false), 0.95);
  EXPECT_EQ(d.outcome, Outcome::kFail);
  EXPECT_LT(d.trials, 5);
  EXPECT_EQ(DecideInOrder(gate, {}, 0.95).outcome, Outcome::kUndecided);
}

// At a rate of exactly the bound a look after every prompt errs at most once in twenty, on either
// side; fixed limits that look as often err several times as often.
TEST(DecideInOrder, LookingAfterEveryPromptKeepsTheErrorRate) {
  const Gate gate = AtLeast(0.9);
  Stream stream(1, "looks");
  constexpr int kRuns = 400, kPrompts = 200;
  int passes = 0, fails = 0, fixed_passes = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<bool> outcomes(kPrompts);
    for (size_t i = 0; i < kPrompts; ++i) outcomes[i] = !stream.OneIn(10);
    const Outcome outcome = DecideInOrder(gate, outcomes, 0.95).outcome;
    passes += outcome == Outcome::kPass;
    fails += outcome == Outcome::kFail;
    int successes = 0, trials = 0;
    fixed_passes += std::any_of(outcomes.begin(), outcomes.end(), [&](bool success) {
      successes += success;
      return RateLimits(successes, ++trials, 0.95).lower >= 0.9;
    });
  }
  EXPECT_LE(passes, 30);  // 20 expected at most; P(more than 30) < 1 %
  EXPECT_LE(fails, 30);
  EXPECT_GT(fixed_passes, 40);
}

// Exact: E is the likelihood ratio of a mixture, so its mean under the bound's law is 1.
TEST(LogEvidence, HasMeanOneAtTheBound) {
  constexpr int kTrials = 40;
  constexpr double kBound = 0.9;
  double above = 0, below = 0;
  for (int s = 0; s <= kTrials; ++s) {
    const double log_mass = std::lgamma(kTrials + 1) - std::lgamma(s + 1) -
                            std::lgamma(kTrials - s + 1) + s * std::log(kBound) +
                            (kTrials - s) * std::log(1 - kBound);
    above += std::exp(log_mass + LogEvidenceAbove(kBound, s, kTrials - s));
    below += std::exp(log_mass + LogEvidenceBelow(kBound, s, kTrials - s));
  }
  EXPECT_NEAR(above, 1, 1e-9);
  EXPECT_NEAR(below, 1, 1e-9);
}

TEST(ExitCode, AFailOutweighsTheUndecided) {
  using enum Outcome;
  EXPECT_EQ(ExitCode({kPass, kPass}, OnUndecided::kExit1), 0);
  EXPECT_EQ(ExitCode({kPass, kUndecided}, OnUndecided::kExit1), 1);
  EXPECT_EQ(ExitCode({kPass, kUndecided}, OnUndecided::kPass), 0);
  EXPECT_EQ(ExitCode({kPass, kUndecided}, OnUndecided::kFail), 2);
  EXPECT_EQ(ExitCode({kFail, kUndecided}, OnUndecided::kPass), 2);
  EXPECT_EQ(ExitCode({}, OnUndecided::kExit1), 1);
}

}  // namespace
}  // namespace crosscheck::quality
