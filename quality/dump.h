// Dumps: what one side of a comparison answered, in files that any tool can write and read
// (docs/dump_format.md).
//
//   DUMP/manifest.json  prompts.jsonl  done.jsonl  shards/<track>.000000-000031.safetensors
//
// A shard holds consecutive items of one track (a prompt, or a window of the text); it is written,
// synced, renamed and then listed in done.jsonl with its SHA-256, so that a killed run loses the
// shard in work and no more, and a resumed dump has the same bytes as one of a single run.
#ifndef CROSSCHECK_QUALITY_DUMP_H_
#define CROSSCHECK_QUALITY_DUMP_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "reference/tensor.h"

namespace crosscheck::quality {

using Json = nlohmann::json;

inline constexpr std::string_view kDumpFormat = "crosscheck-dump/1";
inline constexpr std::string_view kDumpPrompts = "prompts.jsonl";  // as docs/prompts.md, with ids

// What a dump keeps of the logits, beside ten numbers for each position.
enum class LogitMode { kFull, kTopK, kScalars };
inline constexpr std::string_view kLogitModeNames[] = {"full", "topk", "scalars"};

// Items [first, last) of a track.
struct Shard {
  std::string track;
  int first = 0, last = 0;
  std::string FileName() const;  // "forced.000000-000031.safetensors"
  auto operator<=>(const Shard&) const = default;
};

// "forced.000017.stat".
std::string TensorName(std::string_view track, int item, std::string_view what);

class DumpWriter {
 public:
  // Makes the folder or goes on with the one that is there. FailedPrecondition: its manifest
  // differs in something that determines values; the message names the key and both values. The
  // last shard that is listed is verified; one whose bytes are not those that were listed is
  // written again.
  static absl::StatusOr<std::unique_ptr<DumpWriter>> Open(const std::string& folder,
                                                          const Json& manifest);
  bool Done(const Shard& shard) const { return done_.contains(shard); }
  absl::Status Write(const Shard& shard, const std::vector<Tensor>& tensors);
  int resumed() const { return resumed_; }  // shards of an earlier run

 private:
  explicit DumpWriter(std::string folder) : folder_(std::move(folder)) {}
  absl::Status ReadDone();
  absl::Status WriteDone() const;

  std::string folder_;
  std::map<Shard, std::string> done_;  // to SHA-256
  std::vector<Shard> order_;           // in which they were written
  int resumed_ = 0;
};

class DumpReader {
 public:
  // Errors: no manifest, another format, a list of shards that does not fit the files.
  static absl::StatusOr<std::unique_ptr<DumpReader>> Open(const std::string& folder);

  const Json& manifest() const { return manifest_; }
  const std::string& folder() const { return folder_; }
  std::vector<std::string> Tracks() const;
  // Number of items of a track, 0 when the dump has none.
  int Items(std::string_view track) const;
  // Every item of every track is in one shard that is there; DataLoss says which is not.
  absl::Status CheckShards() const;
  // The tensor stays valid until an item of another shard of the same track is read. NotFound: the
  // dump has no such tensor; DataLoss: the shard is not the one that was listed.
  absl::StatusOr<const Tensor*> Read(std::string_view track, int item, std::string_view what);
  // What Read() can be asked for of this item.
  absl::StatusOr<std::vector<std::string>> Names(std::string_view track, int item);

 private:
  explicit DumpReader(std::string folder) : folder_(std::move(folder)) {}
  struct Loaded {
    Shard shard;
    std::map<std::string, Tensor, std::less<>> tensors;
  };
  absl::StatusOr<const Loaded*> LoadShardOf(std::string_view track, int item);

  std::string folder_;
  Json manifest_;
  std::map<Shard, std::string> shards_;                // to SHA-256
  std::map<std::string, Loaded, std::less<>> loaded_;  // by track
};

// Every file that determines what the model in `folder` computes: config.json and the weights, by
// name with their SHA-256. FailedPrecondition: shards and their index disagree (shard_index.h).
absl::StatusOr<Json> ModelIdentity(const std::string& folder);

// The first key path at which two manifests differ, with both values, or "".
std::string FirstDifference(const Json& a, const Json& b, const std::string& path = "");

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_DUMP_H_
