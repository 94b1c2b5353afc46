// What a request to an engine asks about: the ids that each of its sequences is made of.
#ifndef CROSSCHECK_FUZZ_REQUEST_PROMPTS_H_
#define CROSSCHECK_FUZZ_REQUEST_PROMPTS_H_

#include <cstdint>
#include <vector>

#include "engines/engine.h"

namespace crosscheck {

struct RequestPrompt {
  std::vector<int32_t> ids;  // without masked positions; never empty
  int generate = 0;          // greedy tokens that the request asks for
};

// Prompts of one request: its sequences, its ids, or what its steps feed to each sequence.
std::vector<RequestPrompt> PromptsOf(const Json& head);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_REQUEST_PROMPTS_H_
