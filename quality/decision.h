// Pass, fail or undecided: what the evidence for a metric says about a gate (quality.md 6).
//
// `interval`: pass when the one-sided confidence limit towards the bound clears it, fail when the
// opposite limit is beyond it, else undecided. `point`: the estimate alone.
#ifndef CROSSCHECK_QUALITY_DECISION_H_
#define CROSSCHECK_QUALITY_DECISION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "quality/gates.h"
#include "quality/metrics/cluster.h"

namespace crosscheck::quality {

enum class Outcome { kPass, kFail, kUndecided };
inline constexpr std::string_view kOutcomeNames[] = {"PASS", "FAIL", "UNDECIDED"};

struct Decision {
  Outcome outcome = Outcome::kUndecided;
  double estimate = 0;
  Interval
      limits;  // each one-sided at the file's confidence; equal to the estimate by rule "point"
  int64_t trials = 0;  // prompts that were looked at; 0: the metric is no rate
  int64_t more = 0;    // further prompts that would decide if they agree with the estimate; 0: none
  std::string reason;  // one sentence with the numbers
};

// `successes` of `trials` prompts.
Decision DecideRate(const Gate& gate, int64_t successes, int64_t trials, double confidence);
// Undecided for fewer than ten clusters (rule "interval"), or a mean that does not exist.
Decision DecideMean(const Gate& gate, const MeanEstimate& estimate, double confidence);
// A number without an interval: `gate.rule` is kPoint.
Decision DecideValue(const Gate& gate, double value);
// One number for each layer; for layer_added_error each is the added error over its bound, which
// must be at most 1. Undecided without a layer. NaN reaches no bound.
Decision DecideLayers(const Gate& gate, absl::Span<const double> layers);

// The exact (Clopper-Pearson) limits of a rate, each one-sided.
Interval RateLimits(int64_t successes, int64_t trials, double confidence);
// Wilson's two-sided interval (judging.md 8.9): for display.
Interval WilsonInterval(int64_t successes, int64_t trials, double confidence);
// The fewest trials with this many misses whose lower limit is at least `min` < 1.
int64_t TrialsToPass(double min, int64_t misses, double confidence);
// The most trials with this many misses whose upper limit is below `min`; 0: none.
int64_t TrialsToFail(double min, int64_t misses, double confidence);

// ln E of the one-sided mixture e-values after s successes and f misses, valid however often one
// looks: E >= 20 proves a rate above `bound` (below it) at 5 %. 0 < bound < 1.
double LogEvidenceAbove(double bound, int64_t successes, int64_t misses);
double LogEvidenceBelow(double bound, int64_t successes, int64_t misses);
// The sequential form of DecideRate: decided at E >= 1 / (1 - confidence).
Decision DecideSequentially(const Gate& gate, int64_t successes, int64_t trials, double confidence);
// Looks after every prompt and stops at the first decision: what came after it does not count.
Decision DecideInOrder(const Gate& gate, const std::vector<bool>& successes, double confidence);
// Whether e-values can decide the gate: a rate by the rule "interval", its bound above 0 and
// below 1.
bool IsSequential(const Gate& gate);

// 2: some fail; 1: else some undecided, unless the file says otherwise; 0. No decision at all is 1:
// nothing was proven.
int ExitCode(absl::Span<const Outcome> outcomes, OnUndecided on_undecided);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_DECISION_H_
