// Distances between two logit vectors, in fp64, over the whole vocabulary (judging.md 3.3).
//
// A distance of a case is pooled over all its judged positions: one number per case and metric. The
// first three metrics decide verdicts, kLinf bounds single logits in greedy comparison, the rest of
// this file is for reports and localisation.
//
// Example:
//   DistancePool pool;
//   for (int i = 0; i < exact.rows(); ++i) pool.AddRow(exact.row(i), engine.row(i));
//   double error = pool.Result()[Index(Metric::kCentredRms)];
#ifndef CROSSCHECK_REFERENCE_METRICS_H_
#define CROSSCHECK_REFERENCE_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "reference/tensor.h"

namespace crosscheck {

enum class Metric { kCentredLinf, kCentredRms, kSqrtMeanKl, kLinf };
inline constexpr std::string_view kMetricNames[] = {"centred_linf", "centred_rms", "sqrt_mean_kl",
                                                    "linf"};
inline constexpr size_t kMetricCount = 4;
inline constexpr Metric kVerdictMetrics[] = {Metric::kCentredLinf, Metric::kCentredRms,
                                             Metric::kSqrtMeanKl};

using Distances = std::array<double, kMetricCount>;  // indexed by Index(metric)
constexpr size_t Index(Metric metric) { return static_cast<size_t>(metric); }

// Pools rows [vocab] of finite logits. Not thread-safe; one pool per case and pair of answers.
class DistancePool {
 public:
  // Both rows have the same length, at least one, and hold finite values only.
  void AddRow(absl::Span<const double> exact, absl::Span<const double> other);

  // L-inf: maximum over positions; RMS: over all positions and logits; sqrt(mean KL(p*||p_s) over
  // positions).
  Distances Result() const;
  double largest_exact() const { return largest_exact_; }  // max |y*| over all rows
  int rows() const { return rows_; }

 private:
  std::vector<double> difference_, weight_;  // scratch, [vocab]
  double linf_ = 0, centred_linf_ = 0, centred_squares_ = 0, kl_ = 0, largest_exact_ = 0;
  int64_t values_ = 0;
  int rows_ = 0;
};

// KL(softmax(p) || softmax(q)) of two logit vectors, in nats. Keeps its relative precision for
// differences down to 1e-300.
double KlDivergence(absl::Span<const double> p, absl::Span<const double> q);
double Rms(absl::Span<const double> a, absl::Span<const double> b);
// |ln p*(token) - ln p_s(token)|.
double NllDifference(absl::Span<const double> exact, absl::Span<const double> other, int token);
double LogSumExp(absl::Span<const double> logits);
// -ln softmax(logits)[token].
double NegativeLogLikelihood(absl::Span<const double> logits, int64_t token);

// Unit in the last place of `value` in F32, F16, BF16 or F64, never below that of the smallest
// normal number (judging.md 3.2).
double Ulp(DType dtype, double value);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_METRICS_H_
