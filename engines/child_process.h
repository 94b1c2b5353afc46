// A child process with pipes: started by posix_spawn, read with a deadline, killed when this object
// goes.
#ifndef CROSSCHECK_ENGINES_CHILD_PROCESS_H_
#define CROSSCHECK_ENGINES_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck {

// Bytes received, without the zero fill that a growing std::string costs on every message.
class InputBuffer {
 public:
  std::string_view view() const { return {bytes_.get(), size_}; }
  void clear() { size_ = 0; }
  void RemovePrefix(size_t count);
  // Room for one read; `wanted` is the size of the whole frame as far as known.
  char* Reserve(size_t wanted, size_t* room);
  void Added(size_t count) { size_ += count; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

class ChildProcess {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Event { kInput, kClosed, kDeadline };

  // argv[0] is a path. The child gets `environment` and nothing else, and a process group of its
  // own, so that Ctrl-C in a terminal reaches the parent alone.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(std::vector<std::string> argv,
                                                             std::vector<std::string> environment);
  ~ChildProcess();  // SIGKILL, reaped
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Writes what the pipe takes of `output` (and shortens it), without waiting.
  void Write(std::string_view* output);
  // Writes what it can of `output` (and shortens it) until something was read from the child's
  // stdout, it was closed, or the deadline has passed. `wanted`: expected size of the input, 0 when
  // unknown.
  Event Exchange(std::string_view* output, InputBuffer* input, size_t wanted,
                 Clock::time_point deadline);

  void CloseInput();  // the child sees the end of its stdin
  // Waits for the end until the deadline, then kills. "exit 3", "signal 9", or "" when it had to be
  // killed.
  std::string Wait(Clock::time_point deadline);
  bool Aborted() const;      // after Wait: ended by SIGABRT
  int ExitCode() const;      // after Wait: -1 when ended by a signal
  std::string StderrTail();  // the last 20 lines so far

  // What the operating system says of the process now: whether a thread of it runs or waits for a
  // core, and the CPU seconds of all its threads so far. Not runnable when it cannot be told.
  struct Activity {
    bool runnable = false;
    double cpu_seconds = 0;
  };
  Activity ActivityNow() const { return ActivityOf(pid_); }
  static Activity ActivityOf(pid_t pid);

  pid_t pid() const { return pid_; }
  int output() const { return from_child_; }  // its stdout, for a poll over several children

 private:
  ChildProcess(pid_t pid, int to_child, int from_child, int log);
  bool WriteSome(std::string_view* output);  // false: the child closed its stdin
  void DrainLog();

  pid_t pid_;
  int to_child_;
  int from_child_;
  int log_;
  bool reaped_ = false;
  int wait_status_ = 0;
  std::string log_tail_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_CHILD_PROCESS_H_
