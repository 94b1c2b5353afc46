#include "engines/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace crosscheck {
namespace {

constexpr int kPipeBytes = 1 << 20;  // one write for every usual frame
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kLogBytes = 16 << 10;  // kept of stderr
constexpr int kLogLines = 20;

struct Pipe {
  int read = -1;
  int write = -1;
};

bool Open(Pipe* out) {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return false;
  *out = {fds[0], fds[1]};
  fcntl(fds[1], F_SETPIPE_SZ, kPipeBytes);  // refused above the user's limit: slower, not wrong
  return true;
}

void Close(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// A write to a dead child shall be an error code. Programs that handle the signal themselves keep
// their handler.
void IgnoreBrokenPipes() {
  struct sigaction action{};
  if (sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
    signal(SIGPIPE, SIG_IGN);
  }
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

int Spawn(std::vector<std::string>& argv, std::vector<std::string>& environment,
          const std::array<int, 3>& fds, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) posix_spawn_file_actions_adddup2(&actions, fds[i], i);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&defaults, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawn(pid, argv[0].c_str(), &actions, &attributes, Pointers(argv).data(),
                                Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

void InputBuffer::RemovePrefix(size_t count) {
  std::memmove(bytes_.get(), bytes_.get() + count, size_ - count);
  size_ -= count;
}

char* InputBuffer::Reserve(size_t wanted, size_t* room) {
  const size_t needed = std::max(wanted, size_ + kReadBytes);
  if (needed > capacity_) {
    // Grows with what arrived, so that an announced size alone allocates nothing.
    const size_t capacity = std::max(size_ + kReadBytes, std::min(needed, 2 * capacity_));
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (size_ > 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }
  *room = capacity_ - size_;
  return bytes_.get() + size_;
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    std::vector<std::string> argv, std::vector<std::string> environment) {
  IgnoreBrokenPipes();
  Pipe input;
  Pipe output;
  Pipe log;
  int error = 0;
  pid_t pid = -1;
  if (!Open(&input) || !Open(&output) || !Open(&log)) {
    error = errno;
  } else {
    error = Spawn(argv, environment, {input.read, output.write, log.write}, &pid);
  }
  Close(&input.read);
  Close(&output.write);
  Close(&log.write);
  if (error != 0) {
    Close(&input.write);
    Close(&output.read);
    Close(&log.read);
    return absl::UnavailableError(
        absl::StrCat("cannot start ", argv[0], ": ", std::strerror(error)));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, input.write, output.read, log.read));
}

ChildProcess::ChildProcess(pid_t pid, int to_child, int from_child, int log)
    : pid_(pid), to_child_(to_child), from_child_(from_child), log_(log) {
  for (const int fd : {to_child_, from_child_, log_}) SetNonBlocking(fd);
}

ChildProcess::~ChildProcess() {
  Wait(Clock::now());
  Close(&to_child_);
  Close(&from_child_);
  Close(&log_);
}

bool ChildProcess::WriteSome(std::string_view* output) {
  while (!output->empty()) {
    const ssize_t written = write(to_child_, output->data(), output->size());
    if (written > 0) {
      output->remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
  return true;
}

void ChildProcess::Write(std::string_view* output) {
  if (to_child_ >= 0 && !WriteSome(output)) *output = {};  // dead or dying: its stdout tells
}

ChildProcess::Event ChildProcess::Exchange(std::string_view* output, InputBuffer* input,
                                           size_t wanted, Clock::time_point deadline) {
  for (;;) {
    Write(output);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    std::array<pollfd, 3> waits{{{from_child_, POLLIN, 0},
                                 {log_, POLLIN, 0},
                                 {output->empty() ? -1 : to_child_, POLLOUT, 0}}};
    const int ready =
        poll(waits.data(), waits.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready > 0 && waits[1].revents != 0) DrainLog();
    if (ready <= 0 || waits[0].revents == 0) {
      // Asked once more after the deadline: this process may be the one that got no core.
      if (left <= 0) return Event::kDeadline;
      continue;
    }
    size_t room = 0;
    char* free_space = input->Reserve(wanted, &room);
    const ssize_t count = read(from_child_, free_space, room);
    if (count > 0) {
      input->Added(static_cast<size_t>(count));
      return Event::kInput;
    }
    if (count == 0) return Event::kClosed;
  }
}

ChildProcess::Activity ChildProcess::ActivityOf(pid_t pid) {
  Activity activity;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::error_code error;
  const std::filesystem::path tasks = absl::StrCat("/proc/", pid, "/task");
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "stat");
    std::string stat;
    std::getline(file, stat);
    // proc(5): "pid (name) state …", utime and stime are the fields 14 and 15; a name may hold
    // anything.
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    const std::vector<std::string> fields =
        absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
    uint64_t user = 0, system = 0;
    if (fields.size() < 13 || !absl::SimpleAtoi(fields[11], &user) ||
        !absl::SimpleAtoi(fields[12], &system)) {
      continue;
    }
    activity.runnable |= fields[0] == "R";
    activity.cpu_seconds += static_cast<double>(user + system) / ticks;
  }
  return activity;
}

void ChildProcess::CloseInput() { Close(&to_child_); }

void ChildProcess::DrainLog() {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t count = read(log_, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) Close(&log_);
    if (count <= 0) return;
    log_tail_.append(buffer.data(), static_cast<size_t>(count));
    if (log_tail_.size() > 2 * kLogBytes) log_tail_.erase(0, log_tail_.size() - kLogBytes);
  }
}

std::string ChildProcess::StderrTail() {
  if (log_ >= 0) DrainLog();
  size_t end = log_tail_.size();
  while (end > 0 && log_tail_[end - 1] == '\n') --end;
  size_t begin = end;
  for (int lines = 0; begin > 0; --begin) {
    if (log_tail_[begin - 1] == '\n' && ++lines == kLogLines) break;
  }
  return log_tail_.substr(begin, end - begin);
}

std::string ChildProcess::Wait(Clock::time_point deadline) {
  while (!reaped_) {
    const pid_t ended = waitpid(pid_, &wait_status_, WNOHANG);
    if (ended != 0) {
      reaped_ = ended == pid_ || errno != EINTR;
    } else if (Clock::now() < deadline) {
      if (log_ >= 0) DrainLog();  // a full pipe would keep it from ending
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } else {
      kill(-pid_, SIGKILL);
      kill(pid_, SIGKILL);
      while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
      }
      reaped_ = true;
      return "";
    }
  }
  if (WIFSIGNALED(wait_status_)) return absl::StrCat("signal ", WTERMSIG(wait_status_));
  return absl::StrCat("exit ", WEXITSTATUS(wait_status_));
}

bool ChildProcess::Aborted() const {
  return WIFSIGNALED(wait_status_) && WTERMSIG(wait_status_) == SIGABRT;
}

int ChildProcess::ExitCode() const {
  return WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : -1;
}

}  // namespace crosscheck
