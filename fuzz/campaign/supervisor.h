// `crosscheck fuzz`: starts worker processes, hands out batches, and records everything that they
// answer before it asks for more. One thread; whatever dies is started again, and what it had not
// answered is done again.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_SUPERVISOR_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_SUPERVISOR_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/campaign/finding_desk.h"
#include "fuzz/campaign/store.h"

namespace crosscheck {

struct CampaignOptions {
  std::string workdir;
  std::string state_folder;  // empty: <workdir>/state
  std::vector<std::string> engines = {"lattice"};
  std::vector<std::string> properties;      // names; empty: all
  std::vector<std::string> regressions;     // case files, looked at first under a new build
  std::string targets;                      // folder of fuzz targets; empty: none
  std::vector<std::string> worker_command;  // argv; "--slot i/n" is added
  std::string build, strategy = "all";      // written into the record
  bool random_driver = true, corpus_driver = true;
  uint64_t seed = 1;
  int shard = 0, shards = 1;
  int jobs = 2;
  double max_seconds = 0;  // of this run; 0: until it is stopped
  int64_t max_disk_bytes = int64_t{2} << 30;
  int64_t max_process_bytes = int64_t{2} << 30;  // WorkerPool::Limits::process_bytes
  double batch_seconds = 1, slice_seconds = 30, sample_seconds = 5;
  double minimise_seconds = 60;
  int minimise_evaluations = 2000;
  const std::atomic<bool>* interrupted = nullptr;
};

// What a display shows.
struct CampaignStatus {
  double run_seconds = 0, seconds_left = -1;  // negative: no limit
  int64_t cases = 0;                          // of the campaign
  double cases_per_second = 0;                // lately
  int64_t features = 0, edges = 0, inputs = 0, near_ties = 0, findings = 0, waiting = 0;
  int64_t rss_bytes = 0, restarts = 0;
  std::vector<BatchRow> properties = {};  // sums over the drivers, and one row per fuzz target
};

struct CampaignObserver {
  std::function<void(const FindingRow&, FindingDesk::News)> finding = nullptr;
  std::function<void(const std::string&)> notice = nullptr;
  std::function<void(const CampaignStatus&)> status = nullptr;  // a few times a second
  std::function<void(const SampleRow&)> sample = nullptr;
  std::function<void(const BatchRow&)> batch = nullptr;  // after it was recorded
};

// Why the run ended: "time" or "signal". An error status: it could not start, or its folder could
// no longer be written; what was recorded before stays.
absl::StatusOr<std::string> RunCampaign(const CampaignOptions& options,
                                        const CampaignObserver& observer);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_SUPERVISOR_H_
