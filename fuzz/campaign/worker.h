// A worker process: runs the batches that the supervisor sends on its stdin and answers on stdout,
// one line each, until its stdin ends. It dies with its supervisor.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_WORKER_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_WORKER_H_

#include <atomic>
#include <vector>

#include "absl/status/status.h"
#include "fuzz/campaign/worker_message.h"
#include "fuzz/executor.h"
#include "fuzz/known_issues.h"

namespace crosscheck {

struct WorkerOptions {
  double deadline_seconds = 10;
  ReferenceUse references = ReferenceUse::kLazy;
  std::vector<KnownIssue> known_issues = {};
  const std::atomic<bool>* interrupted = nullptr;  // answers with what is done so far, then ends
};

// An error: no engine could be started, or a request that is none.
absl::Status RunWorker(const WorkerOptions& options, int input, int output);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_WORKER_H_
