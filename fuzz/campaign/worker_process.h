// A worker as its supervisor sees it: lines to and from a child process, without waiting.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_WORKER_PROCESS_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_WORKER_PROCESS_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/child_process.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

class WorkerProcess {
 public:
  // With the environment of this process.
  static absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(
      const std::vector<std::string>& command);

  void Send(const nlohmann::json& message);  // what the pipe does not take, goes with Receive
  // Writes what is left to write, and returns the lines that arrived.
  std::vector<std::string> Receive();
  void WaitForOutput(std::chrono::milliseconds at_most) const;
  bool ended() const { return ended_; }  // its stdout is closed
  // "exit 1", "signal 9", and what it last said on stderr; waits for its end.
  std::string WhyEnded();
  void Interrupt();  // SIGTERM
  pid_t pid() const { return child_->pid(); }
  int output() const { return child_->output(); }  // to poll
  ChildProcess& child() { return *child_; }

 private:
  explicit WorkerProcess(std::unique_ptr<ChildProcess> child) : child_(std::move(child)) {}

  std::unique_ptr<ChildProcess> child_;
  std::string unsent_;
  InputBuffer received_;
  bool ended_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_WORKER_PROCESS_H_
