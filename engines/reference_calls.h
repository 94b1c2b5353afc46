// The op `program` with `calls`: decoder sessions call by call over one reference model, as
// docs/engine_protocol.md says.
#ifndef CROSSCHECK_ENGINES_REFERENCE_CALLS_H_
#define CROSSCHECK_ENGINES_REFERENCE_CALLS_H_

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "reference/reference_model.h"

namespace crosscheck {

// Every call out of order, and every id, length or budget outside its range, is refused and leaves
// all sessions unchanged. A malformed step is an error of the whole request, before anything runs.
absl::StatusOr<Message> AnswerCalls(const ReferenceModel& model, DType answers,
                                    const Json& request);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REFERENCE_CALLS_H_
