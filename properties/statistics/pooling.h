// Which outcomes are counted together (judging.md 8.2): chi-square needs expected counts of at
// least five, and its power falls with the number of cells.
#ifndef CROSSCHECK_PROPERTIES_STATISTICS_POOLING_H_
#define CROSSCHECK_PROPERTIES_STATISTICS_POOLING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

inline constexpr double kLeastExpected = 5;
inline constexpr size_t kMostCells = 64;

// A fixed map from outcomes to cells, made from the law alone.
struct Pooling {
  std::vector<int> cell_of;         // [outcomes]; -1: probability 0
  std::vector<double> probability;  // [cells]
  bool has_tail = false;            // cell 0 holds every outcome too rare for a cell of its own
};

// Outcomes of an expected count of at least five have their own cell, the rest is the tail cell,
// however rare it is as a whole; beyond `most_cells` the rarest join the tail.
Pooling PoolOutcomes(absl::Span<const double> p, int64_t draws, size_t most_cells = kMostCells);

struct PooledCounts {
  std::vector<double> observed, expected;
};

// Cells in order of their expected counts, neighbours merged until each expects at least five (one
// cell when the whole sum does not).
PooledCounts MergeRareCells(absl::Span<const int64_t> observed, absl::Span<const double> expected);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_STATISTICS_POOLING_H_
