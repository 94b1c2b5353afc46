// The message `generate` (docs/engine_protocol.md) as a client writes it.
#ifndef CROSSCHECK_ENGINES_GENERATE_MESSAGE_H_
#define CROSSCHECK_ENGINES_GENERATE_MESSAGE_H_

#include <cstdint>
#include <vector>

#include "engines/message.h"
#include "reference/sampling_law.h"

namespace crosscheck {

// The parameters of `draw` and `invert`, and with a "seed" those of `generate`. The penalties that
// no law covers are 0.
Json SamplingJson(const SamplingParameters& parameters);

inline constexpr SamplingParameters kGreedy{.temperature = 0};

// Complete but for "model": path session, no stop ids, no log-probs, no streaming.
Message GenerateMessage(const std::vector<int32_t>& ids, int max_tokens,
                        const SamplingParameters& parameters = kGreedy, uint64_t seed = 0);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_GENERATE_MESSAGE_H_
