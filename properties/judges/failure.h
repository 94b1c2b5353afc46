// What a run that gave no answer means: the engine's failures are findings, a reference's are the
// harness's.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_FAILURE_H_
#define CROSSCHECK_PROPERTIES_JUDGES_FAILURE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engines/engine.h"
#include "properties/verdict.h"

namespace crosscheck {

// A verdict with its signature's stage and class; RunCase adds property and engine family.
Verdict MakeVerdict(VerdictKind kind, std::string_view stage, ErrorClass error,
                    std::string message);

// kDead: CRASH/crash. kSlow: TIMEOUT/timeout. kInternal: CRASH/panic. kOutOfMemory: CRASH/memory.
// kProtocol: ENGINE_BUG/protocol. kRefused: ENGINE_BUG/rejection (the generator draws legal inputs
// only). kUnsupported: UNSUPPORTED. kBadRequest: SETUP_ERROR (the request is ours).
Verdict EngineFailure(const Failure& failure, std::string_view stage);

// An answer that breaks the protocol: wrong names, shapes, dtypes, positions or ids.
Verdict ProtocolLie(std::string_view stage, std::string_view what);
Verdict ProtocolLie(std::string_view stage, const absl::Status& why);

// Whether an answer's counter of this name is positive: the proof that the work was done
// (judging.md 9.1).
bool Counted(const Json& head, std::string_view counter);
// UNSUPPORTED: the counters do not prove that `what` ran.
Verdict DidNotRun(std::string_view stage, std::string_view what);

// Whether the engine says that it lacks what was asked.
inline bool Lacks(const Reply& reply) {
  return !reply.ok() && reply.failure->kind == FailureKind::kUnsupported;
}

// kRefused, kInternal and kDead: REFERENCE_DRIFT, as the reference does not compute what the case
// asks. The rest: SETUP_ERROR.
Verdict ReferenceFailure(const Failure& failure, std::string_view reference,
                         std::string_view stage);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_FAILURE_H_
