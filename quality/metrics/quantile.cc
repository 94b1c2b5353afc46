#include "quality/metrics/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quality/metrics/compensated_sum.h"

namespace crosscheck::quality {

double QuantileOfSorted(absl::Span<const double> ascending, double f) {
  if (ascending.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double rank = f * static_cast<double>(ascending.size() - 1);
  const size_t below = std::min(static_cast<size_t>(rank), ascending.size() - 1);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  if (ascending[below] == ascending[above]) return ascending[below];  // also infinities
  return ascending[below] +
         (rank - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

double Quantile(std::vector<double> values, double f) {
  std::sort(values.begin(), values.end());
  return QuantileOfSorted(values, f);
}

Distribution DistributionOf(absl::Span<const double> values) {
  Distribution d{.count = values.size()};
  if (values.empty()) {
    d.mean = d.median = d.q99 = d.q999 = d.max = std::numeric_limits<double>::quiet_NaN();
    return d;
  }
  CompensatedSum sum;
  for (const double value : values) sum += value;
  d.mean = sum.value() / static_cast<double>(values.size());
  d.argmax = static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
  d.max = values[d.argmax];
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  d.median = QuantileOfSorted(sorted, 0.5);
  d.q99 = QuantileOfSorted(sorted, 0.99);
  d.tail_is_maximum = values.size() < kFewestForTail;
  d.q999 = d.tail_is_maximum ? d.max : QuantileOfSorted(sorted, 0.999);
  return d;
}

}  // namespace crosscheck::quality
