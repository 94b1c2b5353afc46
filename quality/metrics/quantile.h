// Order statistics of the values of a metric over positions (quality.md 3.1).
#ifndef CROSSCHECK_QUALITY_METRICS_QUANTILE_H_
#define CROSSCHECK_QUALITY_METRICS_QUANTILE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

// Exact, linear between ranks: rank f (N - 1) of N ascending values, as llama-perplexity and
// NumPy's default. NaN of no values; 0 <= f <= 1.
double QuantileOfSorted(absl::Span<const double> ascending, double f);
double Quantile(std::vector<double> values, double f);

inline constexpr size_t kFewestForTail = 1000;  // below, the 99.9 % quantile is the maximum

struct Distribution {
  size_t count = 0;
  double mean = 0, median = 0, q99 = 0, q999 = 0, max = 0;
  size_t argmax = 0;             // index of the largest value, the first among equals
  bool tail_is_maximum = false;  // fewer than kFewestForTail values: q999 is max
};
// Of finite values; all NaN where there is none.
Distribution DistributionOf(absl::Span<const double> values);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_QUANTILE_H_
