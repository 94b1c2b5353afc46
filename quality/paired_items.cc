#include "quality/paired_items.h"

#include <utility>

#include "quality/position_metrics.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

class Recorded : public PairedItems {
 public:
  Recorded(DumpReader& reference, DumpReader& candidate)
      : reference_(reference), candidate_(candidate) {}

  absl::StatusOr<PairedItem> Read(const std::string& track, int item) override {
    auto ours = ReadTable(reference_, track, item, "stat", kStatColumns);
    if (!ours.ok()) return ours.status();
    auto theirs = ReadTable(candidate_, track, item, "stat", kStatColumns);
    if (!theirs.ok()) return theirs.status();
    auto metrics = ReadTable(candidate_, track, item, "metrics", kMetricColumns);
    if (!metrics.ok()) return metrics.status();
    return PairedItem{*std::move(ours), *std::move(theirs), *std::move(metrics)};
  }

 private:
  DumpReader &reference_, &candidate_;
};

}  // namespace

std::unique_ptr<PairedItems> RecordedPairs(DumpReader& reference, DumpReader& candidate) {
  return std::make_unique<Recorded>(reference, candidate);
}

}  // namespace crosscheck::quality
