// An engine is anything that answers messages. What can go wrong is part of the answer, never an
// exception.
#ifndef CROSSCHECK_ENGINES_ENGINE_H_
#define CROSSCHECK_ENGINES_ENGINE_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engines/message.h"

namespace crosscheck {

enum class FailureKind {
  kBadRequest,   // the engine says that the request is malformed (ours to fix)
  kUnsupported,  // the engine lacks the capability
  kRefused,      // the engine rejected the input by a typed error of its own
  kOutOfMemory,  // over the address-space limit
  kInternal,     // a caught panic or exception
  kDead,         // the process ended: signal or exit
  kSlow,         // no answer within the deadline
  kProtocol  // babbling (no frame) or lying (wrong id, name, dtype, shape, repeat not bit-equal)
};
inline constexpr std::string_view kFailureKindNames[] = {"bad_request",   "unsupported", "refused",
                                                         "out_of_memory", "internal",    "dead",
                                                         "slow",          "protocol"};

struct Failure {
  FailureKind kind;
  std::string message;      // what, where, for the finding
  std::string type;         // the engine's own error type, when it gave one
  std::string stderr_tail;  // the last 20 lines that the engine's process printed
};

// One answer: either `failure` or a message.
struct Reply {
  std::optional<Failure> failure;
  Message message;
  double engine_seconds = 0;  // as measured inside the host, for bench/; never judged
  bool ok() const { return !failure.has_value(); }
};

class Engine {
 public:
  virtual ~Engine() = default;
  // The answer to one request. `request.head["id"]` is set by the engine object; callers leave it
  // out.
  virtual Reply Call(const Message& request) = 0;
  // The same for encoded frames, as crosscheck-host serves them: never throws, answers
  // `bad_request` to what is no frame. The default decodes, calls and encodes; an engine that
  // speaks frames itself overrides it.
  virtual std::string CallFrame(std::string_view request);
};

Reply FailedReply(FailureKind kind, std::string message, std::string type = "");
// InvalidArgument: bad_request; Unimplemented: unsupported; ResourceExhausted: out_of_memory;
// OutOfRange, NotFound and FailedPrecondition: refused; all else: internal. The type is the name of
// the status code.
Reply FailedReply(const absl::Status& status);

// An answer message as a reply: {"ok": false, "error": …} becomes the failure that it names. An
// answer that breaks the protocol (no "ok", unknown code) is kProtocol.
Reply ToReply(Message answer);
// The opposite direction. A kProtocol failure of an engine in this process means that it produced
// no frame: what it produced instead, the failure's message, is returned as it is, so that the
// reader sees what the engine did.
std::string EncodeAnswer(Reply reply, const Json& id);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_ENGINE_H_
