// What the workers of a campaign do next.
//
// An arm is a property with a driver on an engine, or a fuzz target; the budget divides time
// between arms. Batches of a worker that died and inputs that want to be looked at (a new build,
// another shard, a fuzz target) come before any arm.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_TASK_SOURCE_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_TASK_SOURCE_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/campaign/budget.h"
#include "fuzz/campaign/case_sequence.h"
#include "fuzz/campaign/store.h"
#include "fuzz/campaign/worker_message.h"

namespace crosscheck {

struct Task {
  BatchRequest batch;  // for a slice only engine, property (the target's name) and driver
  int target = -1;     // not negative: a slice of this fuzz target
  int arm = -1;        // none: it came before any arm
  double expected_seconds = 0;
  bool keep_inputs = true;    // new inputs go to the shard's corpus file
  std::string artifact = {};  // file of a fuzz target's finding, removed once it was reproduced
  int deaths = 0;             // of workers in this batch
  int64_t last_case = -1;     // that a traced batch announced
  int64_t died_at = -1;       // case of the traced batch in which the worker died before
};

class TaskSource {
 public:
  struct Options {
    std::vector<std::string> engines, properties, targets;
    bool random = true;  // with arms that draw cases
    bool corpus = true;  // with arms that mutate the corpus
    uint64_t seed = 1;   // of this shard
    double batch_seconds = 1, slice_seconds = 30;
  };
  static absl::StatusOr<TaskSource> Create(Options options, uint64_t campaign_seed, Store& store);

  // Nothing when no arm may run.
  std::optional<Task> Next();
  // No property can be judged on any engine.
  bool NothingIsServed() const;
  void AllowTargets(bool allow) { targets_allowed_ = allow; }
  // After a batch or slice: what its arm took and brought.
  void Settle(const Task& task, const BatchRow& done, int new_signatures);
  // A batch whose worker died before it answered. True when the case `task.last_case` killed two
  // workers: it is left out, and the rest is done in two pieces.
  bool Died(Task task);
  void Again(Task task);  // did not run
  // An input to mutate.
  void AddToPool(const std::string& property, std::string payload);
  // Inputs to run as they are, on every engine; all of one property.
  void Recheck(const std::string& property, std::vector<std::string> inputs,
               const std::string& subject, bool keep, const std::string& artifact = "");
  size_t waiting() const { return first_.size(); }

 private:
  struct Arm {
    std::string engine, property;
    std::string_view driver;
    int target = -1;
    CaseSequence sequence = CaseSequence();
    double seconds_per_case = 0;
    int64_t cases = 0, unsupported = 0;
    // The engine lacks what the property needs, as enough cases say; the record has the reasons.
    static constexpr int64_t kEnough = 512;
    bool unserved() const { return cases >= kEnough && unsupported == cases; }
  };
  explicit TaskSource(Options options) : options_(std::move(options)), budget_(0) {}
  Task MakeTask(int arm);

  Options options_;
  std::vector<Arm> arms_;
  Budget budget_;
  std::deque<Task> first_;
  std::map<std::string, std::vector<std::string>> pool_;  // payloads by property
  std::map<std::string, size_t> pool_turn_;               // which one is replaced next
  std::map<std::pair<std::string, std::string>, int64_t> recheck_next_;  // engine, property
  bool targets_allowed_ = true;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_TASK_SOURCE_H_
