// The numbers that a dump keeps of every position, as tables (docs/dump_format.md).
#ifndef CROSSCHECK_QUALITY_DUMP_TABLE_H_
#define CROSSCHECK_QUALITY_DUMP_TABLE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/dump.h"

namespace crosscheck::quality {

// Columns of the tensors `stat` and `metrics`: kStatColumnNames and kMetricColumnNames.
enum StatColumn {
  kLse,
  kMax,
  kSecond,
  kArgMax,
  kTies,
  kEntropy,
  kTarget,
  kNan,
  kPositiveInfinity,
  kNegativeInfinity
};
enum MetricColumn {
  kKl,
  kReverseKl,
  kTotalVariation,
  kCentredLinf,
  kCentredRms,
  kOverlap5,
  kOverlap10,
  kOverlap100,
  kRank,
  kGap
};

// The columns of one item's F64 [positions, columns] tensor.
struct Table {
  std::vector<double> values;
  int columns = 1;
  int rows() const { return static_cast<int>(values.size()) / columns; }
  double at(int row, int column) const {
    return values[static_cast<size_t>(row) * columns + column];
  }
};

// FailedPrecondition: it is no F64 [positions, columns].
absl::StatusOr<Table> ReadTable(DumpReader& dump, const std::string& track, int item,
                                std::string_view what, int columns);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_DUMP_TABLE_H_
