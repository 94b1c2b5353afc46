// The worker processes of a supervisor: one task each, started again when they die.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_WORKER_POOL_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_WORKER_POOL_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engines/child_process.h"
#include "fuzz/campaign/fuzz_targets.h"
#include "fuzz/campaign/task_source.h"
#include "fuzz/campaign/worker_process.h"

namespace crosscheck {

// What became of a task.
struct TaskEnd {
  enum class Kind { kAnswered, kRefused, kDied, kSliceEnded };
  Kind kind;
  Task task;
  double seconds = 0;
  nlohmann::json answer = {};           // kAnswered
  std::string reason = {};              // kRefused, kDied
  FuzzTargets::SliceResult slice = {};  // kSliceEnded
  int64_t large_process = 0;            // kAnswered: bytes for which the worker was ended after it
};

class WorkerPool {
 public:
  struct Limits {
    // Engines have a deadline per message; this one, for a whole task, is for our own code.
    double task_seconds = 300;
    // A worker of which one process holds more after a batch is started again, with its engines.
    int64_t process_bytes = int64_t{2} << 30;
  };
  WorkerPool(std::vector<std::string> command, int workers, FuzzTargets& targets, Limits limits);

  // hello of each engine. An error: it cannot be started.
  absl::StatusOr<std::vector<nlohmann::json>> Hello(const std::vector<std::string>& engines);

  int FreeSlot() const;  // -1: none
  absl::Status Run(int slot, Task task, double slice_seconds,
                   const std::vector<std::string>& known_signatures);
  std::vector<TaskEnd> Collect();  // without waiting
  bool Busy() const;
  void Interrupt();                  // those that work answer with what is done so far
  std::vector<int> outputs() const;  // to poll
  std::vector<pid_t> pids() const;

 private:
  struct Slot {
    std::unique_ptr<WorkerProcess> worker = nullptr;
    std::unique_ptr<WorkerProcess> slice = nullptr;
    std::optional<Task> task = std::nullopt;
    std::chrono::steady_clock::time_point start = {}, deadline = {};
    double cpu_seconds_at_start = 0;  // of the worker and its engines
  };
  void SetDeadline(Slot& slot) const;
  bool IsLate(Slot& slot) const;
  absl::Status StartWorker(size_t slot);
  std::optional<TaskEnd> Look(Slot& slot);
  void EndIfLarge(Slot& slot, TaskEnd& end) const;
  TaskEnd End(Slot& slot, TaskEnd::Kind kind) const;

  const std::vector<std::string> command_;
  FuzzTargets& targets_;
  const Limits limits_;
  std::vector<Slot> slots_;
};

// On an overloaded machine a process that waits for a core has not been given its time yet: it is
// not late until it used half of it up. One that spins does so; one that sleeps is not runnable.
bool IsStarved(const ChildProcess::Activity& now, double cpu_seconds_at_start, double limit);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_WORKER_POOL_H_
