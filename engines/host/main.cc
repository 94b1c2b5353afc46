// crosscheck-host ENGINE: serves one engine over frames on stdin and stdout, so that it can crash
// without its judge.
//
// Options: --memory-limit BYTES (address space), --scratch FOLDER (removed when the parent
// disappears without `bye`).
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engines/host/exit_codes.h"
#include "engines/registry.h"
#include "engines/scratch_folder.h"

namespace crosscheck {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr auto kGrace =
    std::chrono::seconds(1);  // for the engine to return after the parent has gone

#if __has_feature(address_sanitizer)
constexpr bool kLimitsAddressSpace = false;  // its shadow needs terabytes of it
#else
constexpr bool kLimitsAddressSpace = true;
#endif

struct Options {
  uint64_t memory_limit = 0;
  std::string scratch;
  std::string engine;
};

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--memory-limit" && i + 1 < argc) {
      if (!absl::SimpleAtoi(argv[++i], &options->memory_limit)) return false;
    } else if (argument == "--scratch" && i + 1 < argc) {
      options->scratch = argv[++i];
    } else if (options->engine.empty() && !argument.empty() && argument.substr(0, 2) != "--") {
      options->engine = argument;
    } else {
      return false;
    }
  }
  return !options->engine.empty();
}

void LimitResources(uint64_t memory_limit) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (kLimitsAddressSpace && memory_limit > 0) {
    const rlimit limit{memory_limit, memory_limit};
    setrlimit(RLIMIT_AS, &limit);
  }
}

void LimitThreads() {
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"}) {
    setenv(name, "1", 1);
  }
}

// Becomes the program. It cannot watch for its parent, so the kernel does.
int RunProgram(const std::string& command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
  std::fprintf(stderr, "crosscheck-host: cannot run /bin/sh: %s\n", std::strerror(errno));
  return kExitCannotOpen;
}

// The parent has gone when the other end of stdin is closed. An engine that hangs would never see
// it.
void WatchParent(const std::string& scratch) {
  pollfd wait{0, 0, 0};
  while (poll(&wait, 1, -1) < 0 && errno == EINTR) {
  }
  std::this_thread::sleep_for(kGrace);
  if (!scratch.empty()) RemoveAbandonedScratchFolder(scratch);
  _exit(0);
}

// Reads whole frames from stdin.
class FrameReader {
 public:
  // False at the end of input. A header that is none is returned as it is, for the engine to
  // refuse.
  bool Next(std::string_view* frame, bool* usable) {
    begin_ += last_size_;
    last_size_ = 0;
    if (!Fill(kFrameHeaderBytes)) return false;
    const auto sizes = DecodeFrameHeader(Pending());
    *usable = sizes.ok();
    const size_t size = kFrameHeaderBytes + (sizes.ok() ? sizes->head + sizes->payload : 0);
    if (!Fill(size)) return false;
    *frame = Pending().substr(0, size);
    last_size_ = size;
    return true;
  }

 private:
  std::string_view Pending() const {
    return std::string_view(bytes_).substr(begin_, end_ - begin_);
  }

  bool Fill(size_t size) {
    while (end_ - begin_ < size) {
      if (begin_ > 0) {
        bytes_.replace(0, end_ - begin_, bytes_, begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
      if (bytes_.size() < end_ + kReadBytes) bytes_.resize(end_ + 2 * kReadBytes + end_);
      const ssize_t count = read(0, bytes_.data() + end_, bytes_.size() - end_);
      if (count == 0 || (count < 0 && errno != EINTR)) return false;
      if (count > 0) end_ += static_cast<size_t>(count);
    }
    return true;
  }

  std::string bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t last_size_ = 0;
};

bool WriteAll(int fd, std::array<iovec, 3> parts) {
  size_t first = 0;
  while (first < parts.size()) {
    const ssize_t count = writev(fd, &parts[first], static_cast<int>(parts.size() - first));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    auto left = static_cast<size_t>(count);
    for (; first < parts.size() && left >= parts[first].iov_len; ++first) {
      left -= parts[first].iov_len;
    }
    if (first < parts.size()) {
      parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + left;
      parts[first].iov_len -= left;
    }
  }
  return true;
}

iovec Part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

// Writes the answer with "seconds" put in front of its head. What is no frame travels as it is.
bool WriteAnswer(int fd, std::string_view answer, std::chrono::nanoseconds taken) {
  const auto sizes = DecodeFrameHeader(answer);
  const bool has_fields = sizes.ok() && sizes->head > 2 && answer.size() > kFrameHeaderBytes &&
                          answer[kFrameHeaderBytes] == '{';
  if (!has_fields) return WriteAll(fd, {Part(answer), Part({}), Part({})});
  const std::string seconds = absl::StrCat("{\"seconds\":", taken.count(), "e-9,");
  std::string header(answer.substr(0, kFrameHeaderBytes));
  const auto head_size = static_cast<uint32_t>(sizes->head + seconds.size() - 1);
  std::memcpy(header.data() + 4, &head_size, sizeof(head_size));
  return WriteAll(fd, {Part(header), Part(seconds), Part(answer.substr(kFrameHeaderBytes + 1))});
}

bool IsBye(std::string_view frame) {
  if (frame.size() > 256 || frame.find("\"bye\"") == std::string_view::npos) return false;
  const auto message = DecodeFrame(frame);
  return message.ok() && message->head.value("op", Json()) == "bye";
}

// Address space in use, from /proc/self/statm; 0 when it cannot be read.
uint64_t AddressSpace() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long pages = 0;
  const bool read = file != nullptr && std::fscanf(file, "%llu", &pages) == 1;
  if (file != nullptr) std::fclose(file);
  return read ? pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// While it lives, a request with "memory_allowance" may not take more address space than that.
class Allowance {
 public:
  explicit Allowance(std::string_view frame) {
    if (!kLimitsAddressSpace) return;
    if (frame.find("\"memory_allowance\"") == std::string_view::npos) return;
    const auto message = DecodeFrame(frame);
    const Json bytes = message.ok() ? message->head.value("memory_allowance", Json()) : Json();
    const uint64_t used = AddressSpace();
    if (!bytes.is_number_unsigned() || used == 0 || getrlimit(RLIMIT_AS, &before_) != 0) return;
    const rlimit limit{std::min<rlim_t>(before_.rlim_cur, used + bytes.get<uint64_t>()),
                       before_.rlim_max};
    set_ = setrlimit(RLIMIT_AS, &limit) == 0;
  }
  ~Allowance() {
    if (set_) setrlimit(RLIMIT_AS, &before_);
  }
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

 private:
  rlimit before_{};
  bool set_ = false;
};

// Until the end of input, `bye`, or bytes that are no frame.
void Serve(Engine& engine, int out) {
  FrameReader reader;
  std::string_view frame;
  bool usable = true;
  bool said_bye = false;
  while (usable && !said_bye && reader.Next(&frame, &usable)) {
    said_bye = IsBye(frame);
    const auto begin = std::chrono::steady_clock::now();
    std::string answer;
    {
      const Allowance allowance(frame);
      answer = engine.CallFrame(frame);
    }
    if (!WriteAnswer(out, answer, std::chrono::steady_clock::now() - begin)) return;
  }
}

int Run(const Options& options) {
  LimitThreads();
  LimitResources(options.memory_limit);
  if (const std::optional<std::string> command = CommandLineOf(options.engine)) {
    return RunProgram(*command);
  }
  const int out = fcntl(1, F_DUPFD_CLOEXEC, 3);  // libraries that print cannot reach the frames
  dup2(2, 1);
  signal(SIGPIPE, SIG_IGN);
  std::thread(WatchParent, options.scratch).detach();
  const absl::StatusOr<std::unique_ptr<Engine>> engine = OpenInProcess(options.engine);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", std::string(engine.status().message()).c_str());
    return kExitCannotOpen;
  }
  Serve(**engine, out);
  if (!options.scratch.empty()) RemoveAbandonedScratchFolder(options.scratch);
  return 0;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) {
  crosscheck::Options options;
  if (!crosscheck::Parse(argc, argv, &options)) {
    std::fprintf(stderr,
                 "usage: crosscheck-host [--memory-limit BYTES] [--scratch FOLDER] ENGINE\n");
    return crosscheck::kExitUsage;
  }
  return crosscheck::Run(options);
}
