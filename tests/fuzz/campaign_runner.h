// Campaigns of tests: on an engine that starts at once, in a folder of their own.
#ifndef CROSSCHECK_TESTS_FUZZ_CAMPAIGN_RUNNER_H_
#define CROSSCHECK_TESTS_FUZZ_CAMPAIGN_RUNNER_H_

#include <string>
#include <vector>

#include "fuzz/campaign/supervisor.h"
#include "tests/cli/command.h"

namespace crosscheck {

inline std::string FaultyExact() { return (BuildFolder() / "lib/libfaulty_exact.so").string(); }

// Property generation_contract, one worker, short batches, findings reduced quickly.
inline CampaignOptions QuickCampaign(const std::string& workdir, const std::string& engine) {
  CampaignOptions options;
  options.workdir = workdir;
  options.engines = {engine};
  options.properties = {"generation_contract"};
  options.worker_command = {(BuildFolder() / "crosscheck").string(), "fuzz-worker"};
  options.build = "build-1";
  options.strategy = "corpus";
  options.jobs = 1;
  options.batch_seconds = 0.05;
  options.sample_seconds = 0.1;
  options.minimise_evaluations = 40;
  return options;
}

// Runs until `enough` of what was recorded, at most five minutes: no test depends on how fast this
// machine is.
class CampaignRun {
 public:
  explicit CampaignRun(CampaignOptions options) : options_(std::move(options)) {
    options_.interrupted = &stop_;
    options_.max_seconds = 300;
  }
  absl::StatusOr<std::string> Until(const std::function<bool(const CampaignRun&)>& enough) {
    CampaignObserver observer;
    observer.finding = [this](const FindingRow& finding, FindingDesk::News news) {
      (news == FindingDesk::News::kFound ? found : reduced).push_back(finding);
    };
    observer.notice = [this](const std::string& text) { notices.push_back(text); };
    observer.batch = [this](const BatchRow& batch) { batches.push_back(batch); };
    observer.sample = [this](const SampleRow& sample) { samples.push_back(sample); };
    observer.status = [&](const CampaignStatus& status) {
      last = status;
      if (enough(*this)) stop_ = true;
    };
    return RunCampaign(options_, observer);
  }

  std::vector<FindingRow> found, reduced;
  std::vector<std::string> notices;
  std::vector<BatchRow> batches;
  std::vector<SampleRow> samples;
  CampaignStatus last;

 private:
  std::atomic<bool> stop_ = false;
  CampaignOptions options_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_FUZZ_CAMPAIGN_RUNNER_H_
