#include "engines/generate_message.h"

namespace crosscheck {

// Field by field: a braced list makes an array of every pair first, and requests are made for every
// case.
Json SamplingJson(const SamplingParameters& parameters) {
  Json sampling;
  sampling["temperature"] = parameters.temperature;
  sampling["top_k"] = parameters.top_k;
  sampling["top_p"] = parameters.top_p;
  sampling["min_p"] = parameters.min_p;
  sampling["repetition_penalty"] = parameters.repetition_penalty;
  sampling["frequency_penalty"] = 0;
  sampling["presence_penalty"] = 0;
  return sampling;
}

Message GenerateMessage(const std::vector<int32_t>& ids, int max_tokens,
                        const SamplingParameters& parameters, uint64_t seed) {
  Message request;
  Json& head = request.head;
  head["op"] = "generate";
  head["ids"] = ids;
  head["path"] = "session";
  head["max_tokens"] = max_tokens;
  head["sampling"] = SamplingJson(parameters);
  head["sampling"]["seed"] = seed;
  head["stop"] = Json::array();
  head["logprobs"] = false;
  head["stream"] = false;
  return request;
}

}  // namespace crosscheck
