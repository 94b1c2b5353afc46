// The reference's logits of an item: from its dump, or asked at once where the dump keeps none.
#ifndef CROSSCHECK_QUALITY_REFERENCE_ROWS_H_
#define CROSSCHECK_QUALITY_REFERENCE_ROWS_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/cost.h"
#include "quality/dump.h"
#include "quality/position_metrics.h"
#include "quality/side.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

class ReferenceRows {
 public:
  virtual ~ReferenceRows() = default;
  // One entry for each row of `candidate`, a block of item `index` of the track. Rows with a value
  // that is not a logit have NaN everywhere. The time goes to `share`.
  virtual absl::StatusOr<std::vector<PositionMetrics>> Compare(const Track& track, int index,
                                                               const Rows& candidate,
                                                               TimeShare& share) = 0;
};

// Of a dump that keeps logits (mode full or topk).
std::unique_ptr<ReferenceRows> StoredReference(DumpReader& dump);
// Of a side that answers while the candidate is measured.
std::unique_ptr<ReferenceRows> LiveReference(Side& side);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_REFERENCE_ROWS_H_
