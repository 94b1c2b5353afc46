// The numbers of both sides for one item of a track with logits: what every summary is made of.
#ifndef CROSSCHECK_QUALITY_PAIRED_ITEMS_H_
#define CROSSCHECK_QUALITY_PAIRED_ITEMS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "quality/dump.h"
#include "quality/dump_table.h"

namespace crosscheck::quality {

// One row for each scored position: `stat` of both sides (position_stat.h) and how far the
// candidate is from the reference (position_metrics.h).
struct PairedItem {
  Table reference, candidate, metrics;
};

class PairedItems {
 public:
  virtual ~PairedItems() = default;
  virtual absl::StatusOr<PairedItem> Read(const std::string& track, int item) = 0;
};

// As the candidate's dump holds them: its metrics were taken while it was recorded.
std::unique_ptr<PairedItems> RecordedPairs(DumpReader& reference, DumpReader& candidate);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_PAIRED_ITEMS_H_
