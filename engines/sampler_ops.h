// The ops of sampler/1 (docs/engine_protocol.md) over one reference sampler, and the sampling
// parameters that `generate` shares with them.
#ifndef CROSSCHECK_ENGINES_SAMPLER_OPS_H_
#define CROSSCHECK_ENGINES_SAMPLER_OPS_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "reference/reference_sampler.h"

namespace crosscheck {

// Complete parameters. InvalidArgument: a field is missing or wrongly typed. OutOfRange: a value
// that no law follows from (negative temperature, top_p or min_p outside 0..1, penalty not
// positive). Unimplemented: frequency or presence penalty other than 0.
absl::StatusOr<SamplingParameters> ReadSampling(const Json& sampling);
// The field "seed", all 64 bits.
absl::StatusOr<uint64_t> ReadSeed(const Json& object);

bool IsSamplerOp(std::string_view op);
// The answer to `draw` or `invert`.
absl::StatusOr<Message> AnswerSampler(const ReferenceSampler& sampler, const Message& request);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_SAMPLER_OPS_H_
