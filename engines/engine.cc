#include "engines/engine.h"

#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

// Codes that may stand in an answer; "dead" and "slow" are for the client alone.
std::optional<FailureKind> KindOf(std::string_view code) {
  for (const FailureKind kind :
       {FailureKind::kBadRequest, FailureKind::kUnsupported, FailureKind::kRefused,
        FailureKind::kOutOfMemory, FailureKind::kInternal, FailureKind::kProtocol}) {
    if (kFailureKindNames[static_cast<int>(kind)] == code) return kind;
  }
  return std::nullopt;
}

std::string StringOr(const Json& object, const char* key, std::string otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>()
                                                     : std::move(otherwise);
}

FailureKind KindOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return FailureKind::kBadRequest;
    case absl::StatusCode::kUnimplemented:
      return FailureKind::kUnsupported;
    case absl::StatusCode::kResourceExhausted:
      return FailureKind::kOutOfMemory;
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kFailedPrecondition:
      return FailureKind::kRefused;
    default:
      return FailureKind::kInternal;
  }
}

Reply CallCatching(Engine& engine, const Message& request) {
  try {
    return engine.Call(request);
  } catch (const std::bad_alloc&) {
    return FailedReply(FailureKind::kOutOfMemory, "std::bad_alloc");
  } catch (const std::exception& error) {
    return FailedReply(FailureKind::kInternal, error.what(), "std::exception");
  }
}

}  // namespace

Reply FailedReply(FailureKind kind, std::string message, std::string type) {
  Reply reply;
  reply.failure = Failure{kind, std::move(message), std::move(type), ""};
  return reply;
}

Reply FailedReply(const absl::Status& status) {
  return FailedReply(KindOf(status.code()), std::string(status.message()),
                     absl::StatusCodeToString(status.code()));
}

Reply ToReply(Message answer) {
  const auto ok = answer.head.find("ok");
  if (ok == answer.head.end() || !ok->is_boolean()) {
    return FailedReply(FailureKind::kProtocol, "lying: ok, expected a boolean, got none");
  }
  Reply reply;
  const auto seconds = answer.head.find("seconds");
  if (seconds != answer.head.end() && seconds->is_number()) {
    reply.engine_seconds = seconds->get<double>();
  }
  if (ok->get<bool>()) {
    reply.message = std::move(answer);
    return reply;
  }
  const Json error = answer.head.value("error", Json());
  const std::string code = error.is_object() ? StringOr(error, "code", "") : "";
  const std::optional<FailureKind> kind = KindOf(code);
  if (!kind.has_value()) {
    return FailedReply(
        FailureKind::kProtocol,
        absl::StrCat("lying: error.code, expected a code of the protocol, got \"", code, "\""));
  }
  reply.failure = Failure{*kind, StringOr(error, "message", ""), StringOr(error, "type", ""), ""};
  return reply;
}

std::string EncodeAnswer(Reply reply, const Json& id) {
  if (reply.ok()) {
    reply.message.head["id"] = id;
    reply.message.head["ok"] = true;
    return EncodeFrame(reply.message);
  }
  if (reply.failure->kind == FailureKind::kProtocol) return reply.failure->message;
  Message answer;
  answer.head = {{"id", id},
                 {"ok", false},
                 {"error",
                  {{"code", kFailureKindNames[static_cast<int>(reply.failure->kind)]},
                   {"message", reply.failure->message},
                   {"type", reply.failure->type}}}};
  return EncodeFrame(answer);
}

std::string Engine::CallFrame(std::string_view request) {
  const absl::StatusOr<Message> message = DecodeFrame(request);
  if (!message.ok()) {
    return EncodeAnswer(
        FailedReply(FailureKind::kBadRequest, std::string(message.status().message())), nullptr);
  }
  const Json id = message->head.value("id", Json());
  return EncodeAnswer(CallCatching(*this, *message), id);
}

}  // namespace crosscheck
