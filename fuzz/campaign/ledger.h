// The books of a running campaign: what was run and seen so far, in memory and in the record.
//
// Inputs are written to the shard's corpus file before the batch that brought them is recorded: one
// that is in the file twice does no harm, one that is missing would.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_LEDGER_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_LEDGER_H_

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/resources.h"
#include "fuzz/campaign/store.h"
#include "fuzz/campaign/supervisor.h"
#include "fuzz/campaign/worker_message.h"

namespace crosscheck {

// Adds every number of a batch to those of others.
void AddCounts(const BatchRow& batch, BatchRow& sums);

class Ledger {
 public:
  // Both outlive it. Errors: the folder cannot be written, another supervisor runs this shard.
  static absl::StatusOr<Ledger> Open(const CampaignOptions& options,
                                     const CampaignObserver& observer);

  absl::Status BeginRun(const std::vector<std::string>& versions,
                        const std::vector<std::string>& narrowed);
  absl::Status EndRun(const std::string& ended);
  double RunSeconds() const;
  double Elapsed() const { return start_elapsed_ + RunSeconds(); }  // of the campaign

  // A worker's answer: fills in what only the supervisor knows, records it, and returns the
  // payloads that showed something new. `keep`: they are written to the corpus file.
  absl::StatusOr<std::vector<std::string>> Record(BatchReply& reply, bool keep);
  absl::Status Record(BatchRecord& record);
  absl::Status Restarted(const std::string& what, const std::string& reason);
  void Notice(const std::string& text) const;
  // Also an error when the record was deleted or replaced behind our back.
  absl::Status ShowStatus(int64_t findings, int64_t waiting);
  absl::Status Sample(int64_t findings);  // the last one of a run has the memory of the one before
  void CountInputs(int64_t inputs) { inputs_ += inputs; }  // that are in the corpus file
  void SawEdges(const std::string& target, int64_t edges);

  Store& store() { return store_; }
  bool new_build() const { return new_build_; }  // that has no features on record
  bool disk_full() const { return disk_full_; }  // --max-disk is exceeded
  std::string CorpusPath(int shard) const;

 private:
  Ledger(const CampaignOptions& options, const CampaignObserver& observer, Store store,
         CorpusWriter corpus)
      : options_(&options),
        observer_(&observer),
        store_(std::move(store)),
        corpus_(std::move(corpus)) {}
  std::string StateFile() const;
  void AddToSums(const BatchRow& row);
  int64_t Edges() const;

  const CampaignOptions* options_;
  const CampaignObserver* observer_;
  Store store_;
  CorpusWriter corpus_;
  int64_t run_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double start_elapsed_ = 0;
  struct stat state_file_ = {};
  std::unordered_set<uint64_t> features_;
  std::map<std::string, BatchRow> sums_;  // by property or target
  std::map<std::string, int64_t> edges_;  // by target
  std::deque<std::pair<double, int64_t>> history_;
  MemoryUse memory_;
  int64_t cases_ = 0, near_ties_ = 0, inputs_ = 0, restarts_ = 0;
  bool new_build_ = false, disk_full_ = false, ended_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_LEDGER_H_
