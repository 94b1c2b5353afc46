// The ops of model/1 and session/1 (docs/engine_protocol.md) over one reference model.
//
// InvalidArgument: the request is malformed; OutOfRange: the input is refused (empty, outside the
// vocabulary, too long); Unimplemented: unsupported. The head of an answer has no "id" and no "ok".
#ifndef CROSSCHECK_ENGINES_REFERENCE_OPS_H_
#define CROSSCHECK_ENGINES_REFERENCE_OPS_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "reference/reference_model.h"

namespace crosscheck {

struct ReferenceOp {
  std::string_view name;
  // `answers`: dtype of the tensors, kF64 or kF32.
  absl::StatusOr<Message> (*answer)(const ReferenceModel& model, DType answers,
                                    const Json& request);
};

// Null for an op that is none of these.
const ReferenceOp* FindReferenceOp(std::string_view name);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REFERENCE_OPS_H_
