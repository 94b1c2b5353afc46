// Multiple choice by log-likelihood, scored as lm-evaluation-harness does (quality.md 3.8, 4.3).
// Answers that flip and the change of the right answer's log-probability see far smaller defects
// than accuracy does.
//
// Example:
//   const Picks picks = PickChoices(choices);
//   correct.push_back(picks[1] == gold);  // acc_norm
#ifndef CROSSCHECK_QUALITY_METRICS_CHOICE_H_
#define CROSSCHECK_QUALITY_METRICS_CHOICE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "quality/metrics/cluster.h"

namespace crosscheck::quality {

// By what the sum of log-probabilities is divided.
enum class Normalisation { kNone, kCharacters, kBytes, kTokens };
inline constexpr std::string_view kAccuracyNames[] = {"acc", "acc_norm", "acc_bytes", "acc_tok"};
inline constexpr size_t kNormalisations = 4;

struct Choice {
  double log_likelihood = 0;  // sum over the tokens of the continuation
  std::string_view text;      // without the space before it; its lengths are those of the text
  int64_t tokens = 1;         // of the continuation
};
// The chosen index by each normalisation, the first among equals; at least one choice. A length of
// 0 counts as 1.
using Picks = std::array<int, kNormalisations>;
Picks PickChoices(absl::Span<const Choice> choices);

struct Accuracy {
  int64_t questions = 0, correct = 0;
  double value = 0;           // NaN without questions
  double standard_error = 0;  // sqrt(a (1 - a) / (n - 1)); NaN below two questions
};
Accuracy AccuracyOf(const std::vector<bool>& correct);

// The same questions answered by both sides.
struct PairedAnswers {
  int64_t questions = 0;
  int64_t only_candidate = 0, only_reference = 0;  // right: b and c
  int64_t wrong_otherwise = 0;                     // both wrong, by another choice

  double difference() const;      // accuracy of the candidate less the reference's: (b - c) / n
  double standard_error() const;  // sqrt(b + c - (b - c)^2 / n) / n
  // Normal, two-sided.
  Interval interval(double confidence) const;
  // Exact McNemar: b against c as throws of a fair coin, two-sided.
  double p_value() const;
  int64_t flips() const { return only_candidate + only_reference + wrong_otherwise; }
};
// Chosen indices and the right ones, [questions].
PairedAnswers CompareAnswers(absl::Span<const int> reference, absl::Span<const int> candidate,
                             absl::Span<const int> gold);

// Mean |change| of the log-likelihood of the right choice.
double MeanAbsoluteChange(absl::Span<const double> reference, absl::Span<const double> candidate);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_CHOICE_H_
