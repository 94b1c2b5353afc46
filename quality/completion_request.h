// The request of OpenAI's completions API, as far as log-likelihoods need it: what the client
// `local-completions` of lm-eval sends (docs/serve.md).
#ifndef CROSSCHECK_QUALITY_COMPLETION_REQUEST_H_
#define CROSSCHECK_QUALITY_COMPLETION_REQUEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

using CompletionPrompt = std::variant<std::vector<int32_t>, std::string>;  // token ids, or text

struct CompletionRequest {
  std::vector<CompletionPrompt> prompts;  // one at least
  bool echo = false;                      // also the prompt's text and log-probabilities
  int logprobs = 0;  // most likely tokens that are named at each position; 0: no log-probabilities
};

// InvalidArgument says which parameter is not served, and what is. Every parameter is known or
// refused: one that is ignored would make another result look like the one that was asked for.
absl::StatusOr<CompletionRequest> ParseCompletionRequest(std::string_view body);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPLETION_REQUEST_H_
