#include "properties/statistics/pooling.h"

#include <algorithm>
#include <numeric>

namespace crosscheck {

Pooling PoolOutcomes(absl::Span<const double> p, int64_t draws, size_t most_cells) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  const auto frequent = [&](size_t i) {
    return p[order[i]] * static_cast<double>(draws) >= kLeastExpected;
  };
  size_t possible = 0;
  while (possible < order.size() && p[order[possible]] > 0) ++possible;
  size_t own = 0;
  while (own < possible && own < most_cells && frequent(own)) ++own;
  if (own == most_cells && own < possible) --own;
  Pooling pooling;
  pooling.cell_of.assign(p.size(), -1);
  pooling.has_tail = own < possible;
  if (pooling.has_tail) pooling.probability.push_back(0);
  for (size_t i = 0; i < possible; ++i) {
    const bool tail = i >= own;
    if (!tail) pooling.probability.push_back(0);
    const size_t cell = tail ? 0 : pooling.probability.size() - 1;
    pooling.cell_of[order[i]] = static_cast<int>(cell);
    pooling.probability[cell] += p[order[i]];
  }
  return pooling;
}

PooledCounts MergeRareCells(absl::Span<const int64_t> observed, absl::Span<const double> expected) {
  std::vector<size_t> order(expected.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return expected[a] != expected[b] ? expected[a] < expected[b] : a < b;
  });
  PooledCounts counts;
  for (const size_t i : order) {
    if (counts.expected.empty() || counts.expected.back() >= kLeastExpected) {
      counts.observed.push_back(0);
      counts.expected.push_back(0);
    }
    counts.observed.back() += static_cast<double>(observed[i]);
    counts.expected.back() += expected[i];
  }
  return counts;
}

}  // namespace crosscheck
