// Asks one side the items of the tracks and writes its dump; where a reference is given, also how
// far every position is from it.
#ifndef CROSSCHECK_QUALITY_RECORDER_H_
#define CROSSCHECK_QUALITY_RECORDER_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quality/cost.h"
#include "quality/dump.h"
#include "quality/prompts.h"
#include "quality/reference_rows.h"
#include "quality/side.h"
#include "quality/tokenizer.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

// Of logits in one file, and so in memory at a time, beside the block that an engine answers. An
// item is never cut.
inline constexpr int64_t kShardBytes = 128 << 20;

struct RecordOptions {
  LogitMode mode = LogitMode::kScalars;
  int top_k = 1024, tail_samples = 256;  // of kTopK
  uint64_t seed = 1;                     // of the tail samples
  const std::atomic<bool>* interrupted = nullptr;
  Tokenizer* decoder = nullptr;  // for prompts with stop texts; null: none has one
  Cost* cost = nullptr;          // where the time goes, under the name `side`; null: nobody asks
  std::string side = {};
  // Called after every block of positions.
  std::function<void(std::string_view track, int64_t done, int64_t total)> progress;
};

// Bytes that a dump keeps for each position.
int64_t BytesPerPosition(LogitMode mode, const RecordOptions& options, int vocab);

// The forced track of `prompts`, the first ones of the greedy track: each with the continuation
// that `dump` holds.
absl::StatusOr<Track> ForcedTrack(DumpReader& dump, absl::Span<const Prompt> prompts,
                                  int positions);

class Recorder {
 public:
  // All must outlive the recorder; `reference` is null for the reference's own dump.
  Recorder(Side& side, DumpWriter& writer, ReferenceRows* reference, RecordOptions options);

  // Each writes the shards that the dump does not have yet. Unimplemented: the engine cannot answer
  // this track. Cancelled: interrupted; what was finished is kept.
  absl::Status Logits(const Track& track);
  // Prompts [first, last), at most `max_tokens` each, or what a prompt itself says. Shards begin at
  // `first`, so that a dump goes on only with the same ranges.
  absl::Status Greedy(const std::vector<Prompt>& prompts, int first, int last, int max_tokens);
  // `seeds` continuations of each prompt.
  absl::Status Sampled(const std::vector<Prompt>& prompts, int seeds, int max_tokens,
                       double temperature);
  // `draws` tokens of the side's sampler from its own logits after each of `contexts`.
  absl::Status Draws(const std::vector<std::vector<int32_t>>& contexts, int draws,
                     double temperature);
  absl::Status Layers(const Track& forced, int items, const ModelSpec& spec);

 private:
  std::vector<Shard> Shards(const std::string& track, int items, int64_t largest_item_bytes,
                            int first = 0) const;
  // Writes each missing shard of a track; `record` appends the tensors of one item.
  absl::Status ForEachItem(const std::vector<Shard>& shards,
                           const std::function<absl::Status(int, std::vector<Tensor>&)>& record);
  absl::StatusOr<Rows> AskRows(const Track& track, const Item& item, const Block& block);
  void AppendStats(const Track& track, const Item& item, const Rows& rows,
                   std::vector<double>& stats);
  absl::StatusOr<Generated> Generate(const std::string& track, const Prompt& prompt, int max_tokens,
                                     double temperature, uint64_t seed);
  absl::Status RecordItem(const Track& track, int index, std::vector<Tensor>& tensors);

  absl::Status RecordLayers(int item, const std::vector<int32_t>& ids,
                            std::vector<Tensor>& tensors);
  absl::Status CheckTappedLogits(const Tensor& tap, const std::vector<int32_t>& ids);

  TimeShare& Share(const std::string& track) {
    return (options_.cost != nullptr ? *options_.cost : unasked_).Of(options_.side, track);
  }

  Cost unasked_;
  Side& side_;
  DumpWriter& writer_;
  ReferenceRows* reference_;
  RecordOptions options_;
  int64_t done_ = 0, total_ = 0;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_RECORDER_H_
