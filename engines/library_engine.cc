#include "engines/library_engine.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engines/engine_abi.h"

namespace crosscheck {
namespace {

constexpr uint64_t kGuardBytes = 64;
constexpr uint8_t kGuard = 0xC5;
constexpr uint64_t kFirstCapacity = 64 << 10;
constexpr uint64_t kLargestReply = kFrameHeaderBytes + kMaxHeadBytes + kMaxPayloadBytes;

// Memory for one reply between guard bytes.
class GuardedArena {
 public:
  GuardedArena() {
    arena_.context = this;
    arena_.grow = [](xck_arena* arena, uint64_t size) {
      return static_cast<GuardedArena*>(arena->context)->Grow(size) ? 0 : 1;
    };
    Grow(kFirstCapacity);
  }
  GuardedArena(const GuardedArena&) = delete;
  GuardedArena& operator=(const GuardedArena&) = delete;

  // Ready for the next reply.
  xck_arena* Clear() {
    arena_.size = 0;
    arena_.data = bytes_.data() + kGuardBytes;
    arena_.capacity = bytes_.size() - 2 * kGuardBytes;
    return &arena_;
  }

  // What the engine did wrong, or "".
  std::string Damage() {
    const uint64_t capacity = bytes_.size() - 2 * kGuardBytes;
    const auto intact = [](const uint8_t* guard) {
      return std::all_of(guard, guard + kGuardBytes, [](uint8_t byte) { return byte == kGuard; });
    };
    const bool before = intact(bytes_.data());
    const bool after = intact(bytes_.data() + kGuardBytes + capacity);
    std::fill_n(bytes_.begin(), kGuardBytes, kGuard);
    std::fill_n(bytes_.end() - kGuardBytes, kGuardBytes, kGuard);
    if (!before) return "guard bytes before the reply were overwritten";
    if (!after) return "guard bytes behind the reply were overwritten";
    if (arena_.size > capacity) {
      return absl::StrCat("reply of ", arena_.size, " bytes in an arena of ", capacity);
    }
    return "";
  }

  std::string_view reply() const {
    return {reinterpret_cast<const char*>(bytes_.data()) + kGuardBytes, arena_.size};
  }

 private:
  // Exceptions may not reach the library, so a refused allocation is a result.
  bool Grow(uint64_t size) noexcept try {
    if (size > kLargestReply) return false;
    if (size <= arena_.capacity) return true;
    const uint64_t capacity = std::max(size, std::min(2 * arena_.capacity, kLargestReply));
    std::vector<uint8_t> larger(capacity + 2 * kGuardBytes);
    // The old block is about to go, so what was written beyond it is looked at now: a damaged guard
    // stays damaged.
    const auto begin = bytes_.begin();
    std::copy(begin, bytes_.empty() ? begin : bytes_.end() - kGuardBytes, larger.begin());
    const bool damaged =
        !bytes_.empty() && !std::all_of(bytes_.end() - kGuardBytes, bytes_.end(),
                                        [](uint8_t byte) { return byte == kGuard; });
    if (bytes_.empty()) std::fill_n(larger.begin(), kGuardBytes, kGuard);
    std::fill_n(larger.end() - kGuardBytes, kGuardBytes, damaged ? uint8_t{0} : kGuard);
    bytes_.swap(larger);
    arena_.data = bytes_.data() + kGuardBytes;
    arena_.capacity = capacity;
    return true;
  } catch (...) {
    return false;
  }

  std::vector<uint8_t> bytes_;
  xck_arena arena_{};
};

struct Functions {
  decltype(&xck_abi_version) abi_version = nullptr;
  decltype(&xck_open) open = nullptr;
  decltype(&xck_call) call = nullptr;
  decltype(&xck_close) close = nullptr;
};

class LibraryEngine : public Engine {
 public:
  LibraryEngine(const Functions& functions, xck_engine* engine)
      : functions_(functions), engine_(engine) {}
  ~LibraryEngine() override { functions_.close(engine_); }

  Reply Call(const Message& request) override {
    const int64_t id = next_id_++;
    if (std::string damage = Answer(EncodeFrame(request, id)); !damage.empty()) {
      return FailedReply(FailureKind::kProtocol, std::move(damage));
    }
    absl::StatusOr<Message> answer = DecodeFrame(arena_.reply());
    if (!answer.ok()) {
      return FailedReply(FailureKind::kProtocol,
                         absl::StrCat("lying: frame, ", answer.status().message()));
    }
    if (answer->head.value("id", Json()) != id) {
      return FailedReply(FailureKind::kProtocol, absl::StrCat("lying: id, expected ", id));
    }
    return ToReply(*std::move(answer));
  }

  // The library's own bytes, so that the reader at the other end judges them.
  std::string CallFrame(std::string_view request) override {
    const std::string damage = Answer(request);
    if (damage.empty()) return std::string(arena_.reply());
    const absl::StatusOr<Message> message = DecodeFrame(request);
    Message answer;
    answer.head = {{"id", message.ok() ? message->head.value("id", Json()) : Json()},
                   {"ok", false},
                   {"error", {{"code", "protocol"}, {"message", damage}, {"type", "abi"}}}};
    return EncodeFrame(answer);
  }

 private:
  // What is wrong with the reply as memory, or "".
  std::string Answer(std::string_view request) {
    const int32_t result = functions_.call(
        engine_, reinterpret_cast<const uint8_t*>(request.data()), request.size(), arena_.Clear());
    std::string damage = arena_.Damage();
    if (damage.empty() && result != 0) {
      damage = absl::StrCat("xck_call returned ", result, " without an answer");
    }
    return damage;
  }

  const Functions functions_;
  xck_engine* const engine_;
  GuardedArena arena_;
  int64_t next_id_ = 1;
};

template <class Function>
bool Resolve(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> OpenLibraryEngine(const std::string& path,
                                                          const Json& options) {
  if (access(path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("no engine library ", path));
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("cannot load ", path, ": ", dlerror()));
  }
  Functions functions;
  if (!Resolve(library, "xck_abi_version", &functions.abi_version) ||
      !Resolve(library, "xck_open", &functions.open) ||
      !Resolve(library, "xck_call", &functions.call) ||
      !Resolve(library, "xck_close", &functions.close)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no engine library: ", dlerror(),
                     "; it needs the functions of engines/engine_abi.h"));
  }
  if (const uint32_t version = functions.abi_version(); version != XCK_ABI_VERSION) {
    return absl::FailedPreconditionError(absl::StrCat(path, " has ABI version ", version,
                                                      ", this build speaks ", XCK_ABI_VERSION,
                                                      "; rebuild the library"));
  }
  const std::string text = options.dump();
  xck_engine* engine = nullptr;
  GuardedArena error;
  const int32_t result = functions.open(reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                        &engine, error.Clear());
  const std::string damage = error.Damage();
  if (result != 0 || engine == nullptr || !damage.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " does not open: ", damage.empty() ? std::string(error.reply()) : damage));
  }
  return std::make_unique<LibraryEngine>(functions, engine);
}

}  // namespace crosscheck
