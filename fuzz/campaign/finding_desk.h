// The findings of a campaign: one bucket per signature over all shards, each reduced once, in a
// process of its own, and replayed in another.
//
// Shards agree through the shared folder: WORKDIR/findings/<signature>.owner names the shard that
// saw it first (made by link(2), so exactly one wins) and that writes
// WORKDIR/findings/<property>/<signature>.case. A finding is in the shard's own record before that,
// so a killed supervisor takes up what it had not finished.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_FINDING_DESK_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_FINDING_DESK_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "fuzz/campaign/store.h"
#include "fuzz/campaign/worker_process.h"

namespace crosscheck {

struct FindingDeskOptions {
  std::string folder;  // WORKDIR/findings
  int shard = 0;
  uint64_t seed = 0;                 // written into case files
  std::vector<std::string> command;  // of a worker
  double seconds = 60;               // for one reduction
  int evaluations = 2000;
  int replays = 5;   // in a fresh process
  int attempts = 3;  // processes that may die over one finding
};

class FindingDesk {
 public:
  enum class News { kFound, kReduced };
  using Report = std::function<void(const FindingRow&, News)>;

  FindingDesk(FindingDeskOptions options, Store& store, Report report);

  absl::Status Load();  // what the record holds; findings that are not reduced are taken up again
  // After the batch was recorded: takes up signatures that this shard had not seen.
  absl::Status Add(const std::vector<FindingRow>& found);
  // Looks after the reducing process; starts the next one when it is free.
  absl::Status Step();
  void Interrupt();  // the process answers with the best so far
  bool Idle() const { return process_ == nullptr; }
  bool Waiting() const { return process_ != nullptr || Next() != nullptr; }
  int output() const { return process_ == nullptr ? -1 : process_->output(); }
  pid_t pid() const { return process_ == nullptr ? 0 : process_->pid(); }

  const std::vector<FindingRow>& findings() const { return findings_; }

 private:
  FindingRow* Find(const std::string& signature);
  FindingRow* Next() const;
  absl::StatusOr<bool> Claim(const std::string& signature) const;
  absl::Status TakeUp(FindingRow& finding);
  absl::Status WriteCase(FindingRow& finding) const;
  absl::Status Start(FindingRow& finding);
  absl::Status Answered(const FindingRow& answer);
  absl::Status Died();
  absl::Status Finish(FindingRow& finding);

  const FindingDeskOptions options_;
  Store& store_;
  const Report report_;
  std::vector<FindingRow> findings_;
  std::unique_ptr<WorkerProcess> process_;
  std::string in_work_;  // its signature
  std::chrono::steady_clock::time_point deadline_;
  bool interrupted_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_FINDING_DESK_H_
