// One prompt of a recorded golden (docs/goldens.md): what its dump holds, and how far the answers
// of a side are from it.
//
// Example:
//   auto item = ReadGoldenItem(dump, 0, side.vocab());
//   auto now = AnsweredBy(*item, side);
//   const GoldenChange change = ChangeOf(item->positions[3], now->positions[3]);
#ifndef CROSSCHECK_QUALITY_GOLDEN_ITEM_H_
#define CROSSCHECK_QUALITY_GOLDEN_ITEM_H_

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/dump.h"
#include "quality/side.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

// How far one position is from the recorded one, nats: the largest change of the log-probability of
// a stored token, and the change of the entropy, which sees the tokens that are not stored. Neither
// changes when a constant is added to all logits.
enum class GoldenMeasure { kLogProbability, kEntropy };
inline constexpr int kGoldenMeasures = 2;
inline constexpr std::string_view kGoldenMeasureNames[kGoldenMeasures] = {"log_probability",
                                                                          "entropy"};
using GoldenDistance = std::array<double, kGoldenMeasures>;  // by GoldenMeasure

struct GoldenPosition {
  double lse = 0, entropy = 0, max = 0, second = 0;
  int best = -1;                // the most likely token
  bool finite = true;           // no value that is no logit
  std::vector<int32_t> tokens;  // stored: the most likely ones first, then draws from the rest
  std::vector<float> logits;    // of `tokens`
  double margin() const { return max - second; }
};

struct GoldenItem {
  Item forced;  // the prompt and its recorded continuation, scored from the prompt's last token
  std::vector<int32_t> prompt, continuation;
  bool ended = false;  // the end-of-sequence id came after the continuation
  std::vector<GoldenPosition> positions;
};

// DataLoss: a file is not the one that was recorded; FailedPrecondition: tensors of another form,
// or a token that is not below `vocab`.
absl::StatusOr<GoldenItem> ReadGoldenItem(DumpReader& dump, int index, int vocab);

// The same positions as `side` answers them, at the stored tokens. Unimplemented: it has no path
// with logits.
absl::StatusOr<GoldenItem> AnsweredBy(const GoldenItem& item, Side& side);

struct GoldenChange {
  GoldenDistance distance{};  // +inf where the answer has values that are no logits
  int token = -1;             // whose log-probability changed most
  double change = 0;          // of it: now less recorded
};
GoldenChange ChangeOf(const GoldenPosition& recorded, const GoldenPosition& now);

// The largest distance over the positions of two answers to one item.
GoldenDistance LargestDistance(const GoldenItem& recorded, const GoldenItem& now);

// The largest logit of the item's positions.
double LargestLogit(const GoldenItem& item);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_GOLDEN_ITEM_H_
