#include "fuzz/minimise.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace crosscheck {
namespace {

// Sequential probability ratio test on the failure rate (judging.md 6): background p0 against a
// bug's p1.
class FailureRateTest {
 public:
  void Add(bool failed) { failed ? ++failures_ : ++passes_; }
  bool Accepts() const { return LogRatio() >= std::log((1 - kBeta) / kAlpha); }
  bool Rejects() const { return LogRatio() <= std::log(kBeta / (1 - kAlpha)); }
  bool Undecided() const { return !Accepts() && !Rejects(); }
  int failures() const { return failures_; }
  int runs() const { return failures_ + passes_; }

 private:
  static constexpr double kBackground = 0.05, kBug = 0.5, kAlpha = 0.05, kBeta = 0.05;
  double LogRatio() const {
    return failures_ * std::log(kBug / kBackground) +
           passes_ * std::log((1 - kBug) / (1 - kBackground));
  }
  int failures_ = 0, passes_ = 0;
};

// How clearly a finding fails. A failure near its bound may vanish on another machine, and reducing
// towards one ends in cases that show rounding instead of the defect; so a candidate never replaces
// a clearer one.
enum class Clarity { kMarginal, kWeak, kClear };

Clarity ClarityOf(const Verdict& verdict) {
  constexpr double kClearlyBeyond = 10;
  if (verdict.marginal) return Clarity::kMarginal;
  double excess = 0;
  for (const Measure& measure : verdict.measures) {
    if (measure.bound > 0) excess = std::max(excess, measure.error / measure.bound);
  }
  const bool weak = excess > 1 && excess < kClearlyBeyond;
  return weak ? Clarity::kWeak : Clarity::kClear;
}

class Minimiser {
 public:
  Minimiser(const Property& property, Executor& executor, const MinimiseOptions& options,
            const Case& original, const Verdict& verdict)
      : property_(property),
        executor_(executor),
        options_(options),
        pin_(verdict),
        result_{.smallest = original, .verdict = verdict} {}

  Minimised Run() {
    Confirm();
    if (!irreproducible_) Reduce();
    // The last word is a replay of what is kept.
    if (!result_.flaky && !OutOfBudget()) result_.flaky = !Evaluate(result_.smallest).has_value();
    if (result_.flaky) MarkFlaky();
    return std::move(result_);
  }

 private:
  // Takes every step that keeps the signature. After a success it goes on where it was, since the
  // steps before have mostly been refused already; only a whole round of refusals proves that no
  // single step is left.
  void Reduce() {
    std::vector<Case> steps = Steps();
    size_t position = 0, refused = 0;
    while (refused < steps.size()) {
      if (OutOfBudget()) return;
      const Case& candidate = steps[position % steps.size()];
      if (std::optional<Verdict> verdict = FailsAlike(candidate)) {
        Keep(candidate, *std::move(verdict));
        steps = Steps();
        refused = 0;
      } else {
        ++position;
        ++refused;
      }
    }
    result_.complete = true;
  }

  std::vector<Case> Steps() const { return result_.smallest.subject().shrink(result_.smallest); }

  void Keep(const Case& candidate, Verdict verdict) {
    result_.smallest = candidate;
    result_.verdict = std::move(verdict);
    if (options_.progress)
      options_.progress(result_.smallest, result_.verdict, result_.evaluations);
  }

  // Replays the original. One replay that disagrees makes it flaky; then the ratio test decides
  // whether it can be reduced at all.
  void Confirm() {
    FailureRateTest test;
    for (int i = 0; i < options_.replays && !OutOfBudget(); ++i)
      test.Add(Evaluate(result_.smallest).has_value());
    result_.flaky = test.failures() < test.runs();
    while (result_.flaky && test.Undecided() && !OutOfBudget()) {
      test.Add(Evaluate(result_.smallest).has_value());
    }
    if (test.runs() > 0) result_.failure_rate = static_cast<double>(test.failures()) / test.runs();
    irreproducible_ = result_.flaky && !test.Accepts();
  }

  // The verdict of a candidate that still fails with the pinned signature, and no less clearly than
  // the best.
  std::optional<Verdict> FailsAlike(const Case& candidate) {
    std::optional<Verdict> failure = result_.flaky ? FailsOften(candidate) : Evaluate(candidate);
    if (failure && ClarityOf(*failure) < ClarityOf(result_.verdict)) return std::nullopt;
    return failure;
  }

  std::optional<Verdict> FailsOften(const Case& candidate) {
    FailureRateTest test;
    std::optional<Verdict> failure;
    while (test.Undecided() && !OutOfBudget()) {
      std::optional<Verdict> verdict = Evaluate(candidate);
      test.Add(verdict.has_value());
      if (verdict) failure = std::move(verdict);
    }
    return test.Accepts() ? failure : std::nullopt;
  }

  std::optional<Verdict> Evaluate(const Case& candidate) {
    ++result_.evaluations;
    Verdict verdict = RunCase(property_, candidate, executor_);
    const bool alike = verdict.kind == pin_.kind && verdict.signature == pin_.signature;
    return alike ? std::optional<Verdict>(std::move(verdict)) : std::nullopt;
  }

  bool OutOfBudget() const {
    if (options_.interrupted != nullptr && *options_.interrupted) return true;
    if (result_.evaluations >= options_.max_evaluations) return true;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    return spent.count() >= options_.max_seconds;
  }

  void MarkFlaky() {
    char rate[64];
    std::snprintf(rate, sizeof(rate), "failed in %.0f %% of the replays",
                  100 * result_.failure_rate);
    result_.verdict.message = std::string(kVerdictKindNames[static_cast<size_t>(pin_.kind)]) +
                              ", " + rate + "\n" + result_.verdict.message;
    result_.verdict.kind = VerdictKind::kFlaky;
  }

  const Property& property_;
  Executor& executor_;
  const MinimiseOptions& options_;
  const Verdict pin_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool irreproducible_ = false;
  Minimised result_;
};

}  // namespace

Minimised Minimise(const Property& property, const Case& original, const Verdict& verdict,
                   Executor& executor, const MinimiseOptions& options) {
  return Minimiser(property, executor, options, original, verdict).Run();
}

}  // namespace crosscheck
