// The op `generate` of generate/1 over one reference model and one reference sampler.
#ifndef CROSSCHECK_ENGINES_REFERENCE_GENERATE_H_
#define CROSSCHECK_ENGINES_REFERENCE_GENERATE_H_

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "reference/reference_model.h"
#include "reference/reference_sampler.h"

namespace crosscheck {

// `answers`: dtype of the log-probs. Ends at the context as at max_tokens. The repetition penalty
// counts prompt and generated ids. The first token is the first of the seed's stream, later ones
// come from streams derived from it.
absl::StatusOr<Message> AnswerGenerate(const ReferenceModel& model, const ReferenceSampler& sampler,
                                       DType answers, const Json& request);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REFERENCE_GENERATE_H_
