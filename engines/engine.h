// An engine is anything that answers messages. What can go wrong is part of the answer, never an exception.
#ifndef CROSSCHECK_ENGINES_ENGINE_H_
#define CROSSCHECK_ENGINES_ENGINE_H_

#include <optional>
#include <string>
#include <string_view>

#include "engines/message.h"

namespace crosscheck {

enum class FailureKind {
  kBadRequest,     // the engine says that the request is malformed (ours to fix)
  kUnsupported,    // the engine lacks the capability
  kRefused,        // the engine rejected the input by a typed error of its own
  kOutOfMemory,    // over the address-space limit
  kInternal,       // a caught panic or exception
  kDead,           // the process ended: signal or exit
  kSlow,           // no answer within the deadline
  kProtocol        // babbling (no frame) or lying (wrong id, name, dtype, shape, repeat not bit-equal)
};
inline constexpr std::string_view kFailureKindNames[] = {"bad_request", "unsupported", "refused", "out_of_memory",
                                                         "internal",    "dead",        "slow",    "protocol"};

struct Failure {
  FailureKind kind;
  std::string message;       // what, where, for the finding
  std::string type;          // the engine's own error type, when it gave one
  std::string stderr_tail;   // the last 20 lines that the engine's process printed
};

// One answer: either `failure` or a message.
struct Reply {
  std::optional<Failure> failure;
  Message message;
  double engine_seconds = 0;   // as measured inside the host, for bench/; never judged
  bool ok() const { return !failure.has_value(); }
};

class Engine {
 public:
  virtual ~Engine() = default;
  // The answer to one request. `request.head["id"]` is set by the engine object; callers leave it out.
  virtual Reply Call(const Message& request) = 0;
};

Reply FailedReply(FailureKind kind, std::string message, std::string type = "");

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_ENGINE_H_
