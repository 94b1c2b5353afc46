// The record of a campaign: what each shard ran, when, and what it found. One SQLite file per
// supervisor, WORKDIR/state/<shard>.sqlite; a batch and all that came of it is one transaction.
//
// Every time is seconds of the shard's campaign (its runs one after another, by a monotonic clock).
// `report` reads it through ReadCampaign; the supervisor writes through Store.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_STORE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_STORE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/campaign/database.h"

namespace crosscheck {

// One start of `crosscheck fuzz`. A run that was killed has no `ended`.
struct RunRow {
  int64_t id = 0;
  int shard = 0, shards = 1;
  std::string build = {}, engines = {}, engine_versions = {};  // comma-separated, in the same order
  uint64_t seed = 0;
  std::string strategy = {};
  int jobs = 0;
  std::string started = {};  // UTC, for people: 2026-01-31T12:00:00Z
  double start_elapsed = 0;  // campaign time at its start
  double seconds = 0;        // how long it ran; as of the last sample when it was killed
  std::string ended = {};    // "time", "signal", "error: …", or "" (killed or still running)
  std::vector<std::string> narrowed = {};  // features that an engine does not serve
};

inline constexpr std::string_view kRandomDriver = "random";        // the property's own sequence
inline constexpr std::string_view kCorpusDriver = "corpus";        // inputs of the corpus, mutated
inline constexpr std::string_view kRecheckDriver = "recheck";      // the corpus under a new build
inline constexpr std::string_view kLibFuzzerDriver = "libfuzzer";  // `property` is a target's name

// A batch, or sums over batches. `cases` = passed + near_ties + unsupported + setup_errors +
// findings + known; those of the libfuzzer driver are executions, all counted as passed.
struct BatchRow {
  int64_t run = 0;
  double elapsed = 0;  // when it was recorded
  std::string engine = {}, property = {}, driver = {};
  int64_t first = 0;  // index of its first case in the driver's sequence
  int64_t cases = 0, passed = 0, near_ties = 0, unsupported = 0, setup_errors = 0, findings = 0,
          known = 0;
  double seconds = 0;  // of one worker
  int64_t new_features = 0, new_inputs = 0;
};

struct SampleRow {  // every few seconds
  int64_t run = 0;
  double elapsed = 0;
  int64_t cases = 0;       // of the shard until then, executions of targets included
  int64_t features = 0;    // of observations and generator labels, under the run's build
  int64_t edges = 0;       // of code, largest that the targets reported, summed; 0 without targets
  int64_t inputs = 0;      // in the shard's corpus
  int64_t findings = 0;    // signatures, known ones excluded
  int64_t near_ties = 0;   // cases
  int64_t rss_bytes = 0;   // supervisor, workers and engines together
  int64_t disk_bytes = 0;  // of the work directory
  int64_t supervisor_bytes = 0, worker_bytes = 0;  // parts of rss_bytes; 0 in a record of before
  int64_t engine_bytes() const { return rss_bytes - supervisor_bytes - worker_bytes; }
};

// Error divided by its bound, as a histogram with half-octave buckets: a ratio r is in bucket
// floor(2 log2 r), clamped to kLeastMargin..kLargestMargin; the bound is at bucket 0, an exact
// answer in kLeastMargin.
inline constexpr int kLeastMargin = -60, kLargestMargin = 20;
inline int MarginBucket(double ratio) {
  if (!(ratio > 0)) return kLeastMargin;
  const double bucket = std::floor(2 * std::log2(ratio));
  return static_cast<int>(std::clamp<double>(bucket, kLeastMargin, kLargestMargin));
}
inline double MarginBucketTop(int bucket) { return std::exp2((bucket + 1) / 2.0); }  // upper edge
struct MarginRow {
  int64_t run = 0;
  std::string engine = {}, property = {}, path = {}, metric = {};
  int bucket = 0;
  int64_t count = 0;
};

inline constexpr std::string_view kLabelCounter = "label";  // cases that the generator so labelled
inline constexpr std::string_view kNarrowedCounter =
    "narrowed";  // a field that was narrowed; "": any
inline constexpr std::string_view kUnsupportedCounter = "unsupported";  // reason
inline constexpr std::string_view kSetupErrorCounter = "setup_error";   // message
inline constexpr std::string_view kKnownCounter = "known";              // signature
struct CounterRow {
  int64_t run = 0;
  std::string engine = {}, property = {}, kind = {}, name = {};
  int64_t count = 0;
};

// new: seen, not reduced yet. confirmed, flaky: reduced and replayed in a fresh process. elsewhere:
// another shard saw it first and reduces it.
enum class FindingState { kNew, kConfirmed, kFlaky, kElsewhere };
inline constexpr std::string_view kFindingStateNames[] = {"new", "confirmed", "flaky", "elsewhere"};

struct FindingRow {  // one per signature and shard
  std::string signature = {}, property = {}, engine = {}, driver = {}, build = {};
  std::string verdict = {}, message = {};
  FindingState state = FindingState::kNew;
  double elapsed = 0;             // when it was first seen
  int64_t first_case = 0;         // cases of the shard until then
  int64_t count = 0;              // cases with this signature
  std::string case_text = {};     // of the first case, as its subject prints it
  std::string case_file = {};     // of the smallest case so far
  std::string reduced_text = {};  // the smallest case; "" while it is new
  bool marginal = false, minimal = false;
  int evaluations = 0;
  int replays = 0, failures = 0;  // of the reduced case in a fresh process: fails in k of n
  int attempts = 0;               // processes that tried to reduce it
  std::string localised = {};     // first bad layer, as a line; "" where there is none
  std::string first_bad = {};     // the same as JSON {"layer", "stage", "means"}; "" for none
};

// A process that had to be started again, or an event that a reader should know of.
struct RestartRow {
  int64_t run = 0;
  double elapsed = 0;
  std::string what = {};    // "worker", "minimiser", "target", "corpus", "disk", "memory"
  std::string reason = {};  // for people
};

// What the shards recorded, one after another. Run ids are unique over the shards here, and a run
// says which shard it belongs to.
struct CampaignData {
  std::vector<RunRow> runs;
  std::vector<BatchRow> activity;  // sums by run, engine, property and driver
  std::vector<SampleRow> samples;  // by run and time
  std::vector<MarginRow> margins;
  std::vector<CounterRow> counters;
  std::vector<FindingRow> findings;  // one per signature: the state of the shard that owns it, all
                                     // shards' counts; in the order of their time
  std::vector<RestartRow> restarts;
};

// Errors: no such folder, no state in it, a file that is no state of a campaign.
absl::StatusOr<CampaignData> ReadCampaign(const std::string& workdir);
// The same of a state folder that lies elsewhere (`fuzz --state`).
absl::StatusOr<CampaignData> ReadCampaignFolder(const std::string& state_folder);

// What one finished batch adds, written in one transaction.
struct BatchRecord {
  BatchRow row;
  std::map<std::pair<std::string, std::string>, std::map<int, int64_t>> margins;  // path, metric
  std::map<std::pair<std::string, std::string>, int64_t> counters;                // kind, name
  std::vector<uint64_t> features;                                                 // new ones
  std::vector<FindingRow> findings;  // their counts are added; a new signature becomes a row
};

class Store {
 public:
  // Creates the file and its folder when needed.
  static absl::StatusOr<Store> Open(const std::string& path);

  absl::StatusOr<int64_t> BeginRun(const RunRow& run);  // fills id and start_elapsed of the row
  absl::Status EndRun(int64_t run, double seconds, std::string_view ended);
  absl::Status AddSample(const SampleRow& sample);
  absl::Status AddRestart(const RestartRow& restart);
  absl::Status AddBatch(const BatchRecord& batch);
  absl::Status SaveFinding(const FindingRow& finding);  // all but its count

  double elapsed() const { return elapsed_; }  // campaign time of the last record
  // First indices and numbers of the cases of a driver's sequence under this seed that are
  // recorded, in order.
  absl::StatusOr<std::vector<std::pair<int64_t, int64_t>>> Recorded(uint64_t seed,
                                                                    std::string_view engine,
                                                                    std::string_view property,
                                                                    std::string_view driver);
  absl::StatusOr<std::vector<uint64_t>> Features(std::string_view build);
  absl::StatusOr<std::vector<FindingRow>> Findings();
  absl::StatusOr<std::vector<BatchRow>> Activity();  // sums by run, engine, property and driver
  absl::StatusOr<int64_t> Offset(int shard);  // read so far of another shard's corpus; 0 at first
  absl::Status SetOffset(int shard, int64_t offset);

 private:
  explicit Store(Database database) : database_(std::move(database)) {}
  Database database_;
  double elapsed_ = 0;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_STORE_H_
