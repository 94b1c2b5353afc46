#include "quality/metrics/agreement.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "quality/metrics/quantile.h"

namespace crosscheck::quality {

double TopKOverlap(absl::Span<const int32_t> reference, absl::Span<const int32_t> candidate,
                   int k) {
  const auto size = std::min({static_cast<size_t>(k), reference.size(), candidate.size()});
  if (size == 0) return 1;
  std::vector<int32_t> ours(reference.begin(), reference.begin() + size);
  std::vector<int32_t> theirs(candidate.begin(), candidate.begin() + size);
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  std::vector<int32_t> shared;
  std::set_intersection(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                        std::back_inserter(shared));
  return static_cast<double>(shared.size()) / static_cast<double>(size);
}

int64_t RankOf(absl::Span<const float> row, int32_t token) {
  const float own = row[token];
  int64_t rank = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    rank += row[i] > own || (row[i] == own && i < static_cast<size_t>(token));
  }
  return rank;
}

ProbabilityChanges SummariseChanges(absl::Span<const double> changes) {
  std::vector<double> sorted(changes.begin(), changes.end());
  std::sort(sorted.begin(), sorted.end());
  double sum = 0, squares = 0;
  for (const double change : sorted) sum += change, squares += change * change;
  const auto count = static_cast<double>(sorted.size());
  const auto quantile = [&](double f) { return QuantileOfSorted(sorted, f); };
  return {.mean = sum / count,
          .rms = std::sqrt(squares / count),
          .q01 = quantile(0.01),
          .q05 = quantile(0.05),
          .median = quantile(0.5),
          .q95 = quantile(0.95),
          .q99 = quantile(0.99),
          .least = quantile(0),
          .largest = quantile(1)};
}

}  // namespace crosscheck::quality
