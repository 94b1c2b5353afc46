// Runs one batch of cases and counts what came of them.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_BATCH_RUNNER_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_BATCH_RUNNER_H_

#include <cstdint>
#include <functional>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/worker_message.h"
#include "fuzz/executor.h"
#include "fuzz/known_issues.h"

namespace crosscheck {

class BatchRunner {
 public:
  struct Hooks {
    std::function<bool()> stopped;         // asked before every case
    std::function<void(int64_t)> started;  // told every case of a traced batch
  };

  BatchRunner(const std::vector<KnownIssue>& known_issues, Hooks hooks)
      : known_issues_(known_issues), hooks_(std::move(hooks)) {}

  // Errors: a property that does not exist, no input that this build can read.
  absl::StatusOr<BatchReply> Run(const BatchRequest& request, Executor& executor);

 private:
  absl::StatusOr<std::vector<Case>> ReadInputs(const BatchRequest& request,
                                               const Executor& executor) const;
  void Count(const BatchRequest& request, const Property& property, int64_t index, const Case& c,
             const Verdict& verdict, Executor& executor, BatchReply& reply);
  void CountFinding(const BatchRequest& request, const Property& property, int64_t index,
                    const Case& c, const Verdict& verdict, Executor& executor, BatchReply& reply);
  void KeepIfNew(const BatchRequest& request, const Property& property, const Case& c,
                 const Verdict& verdict, const std::vector<std::string>& labels, BatchReply& reply);

  const std::vector<KnownIssue>& known_issues_;
  const Hooks hooks_;
  std::unordered_set<uint64_t> seen_;  // features
};

// A case of the corpus with a few bytes changed, by (seed, index).
Case MutatedCase(const std::vector<Case>& bases, uint64_t seed, int64_t index,
                 const Limits& limits);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_BATCH_RUNNER_H_
