// Pairs of two recorded dumps by any tools: every item is checked, and what the modes of the two
// sides allow is computed from what they keep.
//
// | reference | candidate | metrics |
// |---|---|---|
// | full | full | all |
// | topk | full | KL, overlaps, rank, gap |
// | topk | topk at the reference's ids | KL, gap |
// | any | scalars that name this reference in the manifest | as the candidate's dump holds them |
// | otherwise | | none: agreement, probabilities and perplexity follow from `stat` |
#ifndef CROSSCHECK_QUALITY_COMPUTED_PAIRS_H_
#define CROSSCHECK_QUALITY_COMPUTED_PAIRS_H_

#include <string>

#include "absl/types/span.h"
#include "quality/paired_items.h"
#include "quality/position_metrics.h"
#include "quality/position_stat.h"
#include "quality/summary.h"

namespace crosscheck::quality {

class ComputedPairs : public PairedItems {
 public:
  // Both outlive the object; dump_check.h holds of them. A vocabulary that is larger than the other
  // side's is cut to it.
  ComputedPairs(DumpReader& reference, DumpReader& candidate);

  // FailedPrecondition, with both values: other ids or targets, a shape that is not that of the
  // format, an lse that is not finite or not that of the stored logits, a logit that is no number
  // and not counted in `stat`; of the reference any such logit.
  absl::StatusOr<PairedItem> Read(const std::string& track, int item) override;

  // After the items were read: mass that the cut of the vocabulary dropped, and what could not be
  // computed.
  std::vector<Finding> Findings() const;
  std::vector<Skip> Skips() const { return skips_; }

 private:
  struct Side {
    DumpReader& dump;
    int vocab;
    LogitMode mode;
  };
  // What one side keeps of an item; spans live until the reader loads another shard of the track.
  struct Kept {
    std::vector<int32_t> ids, targets;
    Table stat;
    absl::Span<const float> logits;  // [P, vocab], mode full
    absl::Span<const int32_t> top_ids, tail_ids;
    absl::Span<const float> top_logits, tail_logits;
    int top = 0, tail = 0;  // columns
  };

  absl::StatusOr<Kept> ReadSide(const Side& side, const std::string& track, int item);
  absl::Status ReadTopK(const Side& side, const std::string& track, int item, Kept& kept);
  absl::Status CheckRow(const Side& side, const std::string& where, int row, const Kept& kept);
  absl::Status CheckTopKRow(const Side& side, const std::string& where, int row, const Kept& kept);
  absl::Status Cut(const Side& side, const std::string& where, Kept& kept);
  absl::StatusOr<Table> Metrics(const std::string& track, int item, const Kept& ours,
                                const Kept& theirs);
  PositionMetrics CompareRow(const std::string& track, int row, const Kept& ours,
                             const Kept& theirs);
  PositionMetrics CompareTopKs(const std::string& track, int row, const Kept& ours,
                               const Kept& theirs);
  void Skipped(const std::string& track, const std::string& reason);

  Side reference_, candidate_;
  int vocab_;           // of both
  bool recorded_;       // the candidate's metrics are those against this reference
  double dropped_ = 0;  // the largest mass of a position that the cut dropped
  std::string dropped_at_;
  std::vector<Skip> skips_;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPUTED_PAIRS_H_
