// The op `program` of session/1 over one reference model, and what it shares with the other ops.
#ifndef CROSSCHECK_ENGINES_REFERENCE_PROGRAM_H_
#define CROSSCHECK_ENGINES_REFERENCE_PROGRAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engines/message.h"
#include "reference/reference_model.h"

namespace crosscheck {

// Sequences live inside one program. A step that is refused or unsupported is an observation
// ({"ok": false}) and the program goes on; a malformed step is an error of the whole request,
// before anything runs.
absl::StatusOr<Message> AnswerProgram(const ReferenceModel& model, DType answers,
                                      const Json& request);

// True when logits are wanted; they are the only observation with a tensor.
absl::StatusOr<bool> WantsLogits(const Json& request);

// The observation of a step that failed.
Json FailedStep(const absl::Status& status);

// OutOfRange when empty, outside the vocabulary, or beyond the context of a session that has
// `length` positions.
absl::StatusOr<std::vector<int32_t>> CheckedIds(const std::vector<int64_t>& ids, int64_t length,
                                                const ModelSpec& spec);

// F64, or F32 when `dtype` is kF32: values of an fp32 model narrow exactly.
Tensor MakeAnswerTensor(std::string name, std::vector<int64_t> shape,
                        absl::Span<const double> values, DType dtype);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REFERENCE_PROGRAM_H_
