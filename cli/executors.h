// One executor per engine name: a host process is started once for all cases of a command.
#ifndef CROSSCHECK_CLI_EXECUTORS_H_
#define CROSSCHECK_CLI_EXECUTORS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "fuzz/executor.h"

namespace crosscheck {

class Executors {
 public:
  explicit Executors(double deadline_seconds) : deadline_seconds_(deadline_seconds) {}

  absl::StatusOr<Executor*> Get(const std::string& engine) {
    std::unique_ptr<Executor>& slot = executors_[engine];
    if (slot == nullptr) {
      auto made = Executor::Create({.engine = engine, .deadline_seconds = deadline_seconds_});
      if (!made.ok()) return made.status();
      slot = *std::move(made);
    }
    return slot.get();
  }

 private:
  const double deadline_seconds_;
  std::map<std::string, std::unique_ptr<Executor>> executors_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_EXECUTORS_H_
