#include "properties/judges/failure.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Describe(const Failure& failure) {
  std::string text =
      absl::StrCat(View(kFailureKindNames[static_cast<int>(failure.kind)]), ": ", failure.message);
  if (!failure.type.empty()) absl::StrAppend(&text, " (", failure.type, ")");
  if (!failure.stderr_tail.empty()) absl::StrAppend(&text, "\nlast lines:\n", failure.stderr_tail);
  return text;
}

}  // namespace

Verdict MakeVerdict(VerdictKind kind, std::string_view stage, ErrorClass error,
                    std::string message) {
  Verdict verdict;
  verdict.kind = kind;
  verdict.signature.stage = std::string(stage);
  verdict.signature.error = error;
  verdict.message = std::move(message);
  return verdict;
}

Verdict EngineFailure(const Failure& failure, std::string_view stage) {
  auto make = [&](VerdictKind kind, ErrorClass error) {
    return MakeVerdict(kind, stage, error, "the engine: " + Describe(failure));
  };
  switch (failure.kind) {
    case FailureKind::kDead:
      return make(VerdictKind::kCrash, ErrorClass::kCrash);
    case FailureKind::kSlow:
      return make(VerdictKind::kTimeout, ErrorClass::kTimeout);
    case FailureKind::kInternal:
      return make(VerdictKind::kCrash, ErrorClass::kPanic);
    case FailureKind::kOutOfMemory:
      return make(VerdictKind::kCrash, ErrorClass::kMemory);
    case FailureKind::kProtocol:
      return make(VerdictKind::kEngineBug, ErrorClass::kProtocol);
    case FailureKind::kRefused:
      return make(VerdictKind::kEngineBug, ErrorClass::kRejection);
    case FailureKind::kUnsupported:
      return make(VerdictKind::kUnsupported, ErrorClass::kNone);
    case FailureKind::kBadRequest:
      break;
  }
  return make(VerdictKind::kSetupError, ErrorClass::kNone);
}

Verdict ProtocolLie(std::string_view stage, std::string_view what) {
  return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kProtocol,
                     absl::StrCat("the engine's answer breaks the protocol: ", View(what)));
}

Verdict ProtocolLie(std::string_view stage, const absl::Status& why) {
  return ProtocolLie(stage, std::string(why.message()));
}

bool Counted(const Json& head, std::string_view counter) {
  const auto counters = head.find("counters");
  if (counters == head.end() || !counters->is_object()) return false;
  const auto count = counters->find(std::string(counter));
  return count != counters->end() && count->is_number() && count->get<double>() > 0;
}

Verdict DidNotRun(std::string_view stage, std::string_view what) {
  return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                     absl::StrCat("the counters say that ", View(what), " did not run"));
}

Verdict ReferenceFailure(const Failure& failure, std::string_view reference,
                         std::string_view stage) {
  bool drift = failure.kind == FailureKind::kRefused || failure.kind == FailureKind::kInternal ||
               failure.kind == FailureKind::kDead;
  return MakeVerdict(
      drift ? VerdictKind::kReferenceDrift : VerdictKind::kSetupError, stage,
      drift ? ErrorClass::kRejection : ErrorClass::kNone,
      absl::StrCat("the reference ", View(reference), " failed: ", Describe(failure)));
}

}  // namespace crosscheck
