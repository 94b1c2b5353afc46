#include "engines/generate_message.h"

#include <utility>

namespace crosscheck {

Json SamplingJson(const SamplingParameters& parameters) {
  return {{"temperature", parameters.temperature},
          {"top_k", parameters.top_k},
          {"top_p", parameters.top_p},
          {"min_p", parameters.min_p},
          {"repetition_penalty", parameters.repetition_penalty},
          {"frequency_penalty", 0},
          {"presence_penalty", 0}};
}

Message GenerateMessage(const std::vector<int32_t>& ids, int max_tokens,
                        const SamplingParameters& parameters, uint64_t seed) {
  Json sampling = SamplingJson(parameters);
  sampling["seed"] = seed;
  Message request;
  request.head = {{"op", "generate"},
                  {"ids", ids},
                  {"path", "session"},
                  {"max_tokens", max_tokens},
                  {"sampling", std::move(sampling)},
                  {"stop", Json::array()},
                  {"logprobs", false},
                  {"stream", false}};
  return request;
}

}  // namespace crosscheck
