#include "quality/decision.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>

#include "fmt/format.h"

namespace crosscheck::quality {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string_view Comparison(const Gate& gate) { return gate.min ? ">=" : "<="; }

std::string Sentence(const Gate& gate, const Decision& d) {
  return fmt::format("{:.6g} [{:.6g}, {:.6g}] against {} {:.6g}", d.estimate, d.limits.lower,
                     d.limits.upper, Comparison(gate), gate.bound());
}

std::string AloneSentence(const Gate& gate, double value) {
  return fmt::format("{:.6g} against {} {:.6g}, estimate alone", value, Comparison(gate),
                     gate.bound());
}

Outcome PointOutcome(const Gate& gate, double value) {
  if (std::isnan(value)) return Outcome::kUndecided;
  return gate.Reaches(value) ? Outcome::kPass : Outcome::kFail;
}

// The limit towards the bound decides a pass, the other one a failure, for which it must be beyond
// the bound: a gate at its bound is undecided.
Outcome IntervalOutcome(const Gate& gate, const Interval& limits) {
  const double towards = gate.min ? limits.lower : limits.upper;
  const double away = gate.min ? limits.upper : limits.lower;
  if (gate.Reaches(towards)) return Outcome::kPass;
  return gate.Reaches(away) ? Outcome::kUndecided : Outcome::kFail;
}

// Smallest n in (low, high] with property(n), which holds from some n on; high where it is there.
template <class Property>
int64_t FirstThat(int64_t low, int64_t high, Property&& property) {
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (property(middle) ? high : low) = middle;
  }
  return high;
}

std::string WhatIsMissing(const Gate& gate, int64_t successes, int64_t trials, int64_t more) {
  return fmt::format("{}/{} against {} {:g}: needs {} more prompts {}", successes, trials,
                     Comparison(gate), gate.bound(), more,
                     gate.min ? "without a miss" : "without one");
}

// Prompts without a miss (for `max`: without a hit) until the gate passes; 0: it never will.
int64_t MoreForRate(const Gate& gate, int64_t successes, int64_t trials, double confidence) {
  const double least = gate.min ? *gate.min : 1 - *gate.max;
  if (least >= 1) return 0;
  const int64_t misses = gate.min ? trials - successes : successes;
  return std::max<int64_t>(TrialsToPass(least, misses, confidence) - trials, 0);
}

double LogBeta(double a, double b) {
  return boost::math::lgamma(a) + boost::math::lgamma(b) - boost::math::lgamma(a + b);
}

}  // namespace

Interval RateLimits(int64_t successes, int64_t trials, double confidence) {
  if (trials == 0) return {0, 1};
  const auto s = static_cast<double>(successes), f = static_cast<double>(trials - successes);
  return {s == 0 ? 0 : boost::math::ibeta_inv(s, f + 1, 1 - confidence),
          f == 0 ? 1 : boost::math::ibeta_inv(s + 1, f, confidence)};
}

Interval WilsonInterval(int64_t successes, int64_t trials, double confidence) {
  if (trials == 0) return {0, 1};
  const double z = quantile(boost::math::normal(), (1 + confidence) / 2);
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n, z2 = z * z / n;
  const double half = z * std::sqrt(p * (1 - p) / n + z2 / (4 * n));
  const double centre = p + z2 / 2;
  return {std::max(0.0, (centre - half) / (1 + z2)), std::min(1.0, (centre + half) / (1 + z2))};
}

int64_t TrialsToPass(double min, int64_t misses, double confidence) {
  const auto passes = [&](int64_t n) { return RateLimits(n - misses, n, confidence).lower >= min; };
  int64_t high = misses + 1;
  while (!passes(high)) high *= 2;
  return FirstThat(misses, high, passes);
}

int64_t TrialsToFail(double min, int64_t misses, double confidence) {
  const auto open = [&](int64_t n) { return RateLimits(n - misses, n, confidence).upper >= min; };
  if (misses == 0 || open(misses)) return 0;
  int64_t high = 2 * misses;
  while (!open(high)) high *= 2;
  return FirstThat(misses, high, open) - 1;
}

Decision DecideRate(const Gate& gate, int64_t successes, int64_t trials, double confidence) {
  Decision d;
  d.estimate = trials == 0 ? kNan : static_cast<double>(successes) / static_cast<double>(trials);
  d.trials = trials;
  if (trials == 0) {
    d.limits = {0, 1};
    d.reason = "no prompt was judged";
    return d;
  }
  if (gate.rule == GateRule::kPoint) {
    d.limits = {d.estimate, d.estimate};
    d.outcome = PointOutcome(gate, d.estimate);
    d.reason = fmt::format("{}/{} against {} {:g}, estimate alone", successes, trials,
                           Comparison(gate), gate.bound());
    return d;
  }
  d.limits = RateLimits(successes, trials, confidence);
  d.outcome = IntervalOutcome(gate, d.limits);
  d.reason = fmt::format("{}/{}: {}", successes, trials, Sentence(gate, d));
  if (d.outcome == Outcome::kUndecided) {
    d.more = MoreForRate(gate, successes, trials, confidence);
    if (d.more > 0) d.reason = WhatIsMissing(gate, successes, trials, d.more);
  }
  return d;
}

Decision DecideMean(const Gate& gate, const MeanEstimate& estimate, double confidence) {
  Decision d;
  d.estimate = estimate.mean;
  d.limits = OneSidedLimits(estimate, confidence);
  if (estimate.clusters == 0 || std::isnan(estimate.mean)) {
    d.reason = "no position was judged";
    return d;
  }
  if (gate.rule == GateRule::kPoint) return DecideValue(gate, estimate.mean);
  d.reason = Sentence(gate, d);
  if (estimate.few_clusters()) {
    d.more = kFewestClusters - estimate.clusters;
    d.reason +=
        fmt::format(": few clusters, {} of at least {}", estimate.clusters, kFewestClusters);
    return d;
  }
  d.outcome = IntervalOutcome(gate, d.limits);
  const double distance = std::abs(estimate.mean - gate.bound());
  if (d.outcome == Outcome::kUndecided && distance > 0) {
    const double t = StudentQuantile(confidence, estimate.clusters - 1);
    const double needed = std::pow(t * estimate.standard_error / distance, 2) * estimate.clusters;
    d.more = static_cast<int64_t>(std::min(std::ceil(needed), 1e15)) - estimate.clusters;
    d.reason += fmt::format(": needs about {} more prompts", d.more);
  }
  return d;
}

Decision DecideValue(const Gate& gate, double value) {
  Decision d;
  d.outcome = PointOutcome(gate, value);
  d.estimate = value;
  d.limits = {value, value};
  d.reason = AloneSentence(gate, value);
  return d;
}

Decision DecideLayers(const Gate& gate, absl::Span<const double> layers) {
  Decision d;
  if (layers.empty()) {
    d.estimate = kNan;
    d.reason = "no layer was judged";
    return d;
  }
  const bool added = !gate.min && !gate.max;
  int64_t good = 0;
  for (const double layer : layers) {
    good += !std::isnan(layer) && (added ? layer <= 1 : gate.Reaches(layer));
  }
  const auto count = static_cast<double>(layers.size());
  d.estimate = static_cast<double>(good) / count;
  d.limits = {d.estimate, d.estimate};
  // Counts: a share such as 0.9 is no binary fraction.
  const auto needed = static_cast<int64_t>(std::ceil(gate.share_of_layers * count - 1e-9));
  d.outcome = good >= needed ? Outcome::kPass : Outcome::kFail;
  d.reason = fmt::format("{} of {} layers reach it, {} needed", good, layers.size(), needed);
  return d;
}

// With u uniform on (bound, 1) under the alternative:
// E = integral of u^s (1-u)^f over (bound, 1) / ((1 - bound) bound^s (1-bound)^f).
double LogEvidenceAbove(double bound, int64_t successes, int64_t misses) {
  const auto s = static_cast<double>(successes), f = static_cast<double>(misses);
  return LogBeta(s + 1, f + 1) + std::log(boost::math::ibetac(s + 1, f + 1, bound)) -
         std::log1p(-bound) - s * std::log(bound) - f * std::log1p(-bound);
}

double LogEvidenceBelow(double bound, int64_t successes, int64_t misses) {
  const auto s = static_cast<double>(successes), f = static_cast<double>(misses);
  return LogBeta(s + 1, f + 1) + std::log(boost::math::ibeta(s + 1, f + 1, bound)) -
         std::log(bound) - s * std::log(bound) - f * std::log1p(-bound);
}

bool IsSequential(const Gate& gate) {
  return gate.metric.kind == MetricKind::kRate && gate.rule == GateRule::kInterval &&
         gate.bound() > 0 && gate.bound() < 1;
}

Decision DecideSequentially(const Gate& gate, int64_t successes, int64_t trials,
                            double confidence) {
  Decision d = DecideRate(gate, successes, trials, confidence);
  if (!IsSequential(gate) || trials == 0) return d;
  const int64_t misses = trials - successes;
  const double above = LogEvidenceAbove(gate.bound(), successes, misses);
  const double below = LogEvidenceBelow(gate.bound(), successes, misses);
  const double needed = -std::log(1 - confidence);
  d.more = 0;
  d.outcome = Outcome::kUndecided;
  if (std::max(above, below) >= needed) {
    d.outcome = (above >= needed) == gate.min.has_value() ? Outcome::kPass : Outcome::kFail;
  }
  d.reason = fmt::format(
      "{}/{} against {} {:g}: e-values above {:.3g}, below {:.3g}, {:.3g} needed", successes,
      trials, Comparison(gate), gate.bound(), std::exp(above), std::exp(below), std::exp(needed));
  return d;
}

Decision DecideInOrder(const Gate& gate, const std::vector<bool>& successes, double confidence) {
  int64_t sum = 0, trials = 0;
  Decision d = DecideSequentially(gate, 0, 0, confidence);
  for (const bool success : successes) {
    sum += success;
    d = DecideSequentially(gate, sum, ++trials, confidence);
    if (IsSequential(gate) && d.outcome != Outcome::kUndecided) break;
  }
  return d;
}

int ExitCode(absl::Span<const Outcome> outcomes, OnUndecided on_undecided) {
  const auto any = [&](Outcome o) {
    return std::find(outcomes.begin(), outcomes.end(), o) != outcomes.end();
  };
  if (any(Outcome::kFail)) return 2;
  if (outcomes.empty()) return 1;
  if (!any(Outcome::kUndecided) || on_undecided == OnUndecided::kPass) return 0;
  return on_undecided == OnUndecided::kFail ? 2 : 1;
}

}  // namespace crosscheck::quality
