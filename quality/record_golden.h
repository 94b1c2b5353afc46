// `crosscheck golden record`: a small dump of one engine's answers to a few prompts, with the
// reference error that later answers are judged by (docs/goldens.md).
#ifndef CROSSCHECK_QUALITY_RECORD_GOLDEN_H_
#define CROSSCHECK_QUALITY_RECORD_GOLDEN_H_

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "quality/golden_index.h"
#include "quality/inputs.h"

namespace crosscheck::quality {

struct RecordGoldenOptions {
  std::string folder;               // of the golden
  std::string model;                // checkpoint folder
  std::string reference = "torch";  // torch, exact, hf, or an engine's name
  InputOptions inputs;              // prompts only
  int greedy_tokens = 50;
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(std::string_view side, std::string_view track, int64_t done, int64_t total)>
      progress;
};

struct RecordedGolden {
  GoldenIndex index;
  int64_t positions = 0;
  uintmax_t bytes = 0;                 // of all files
  double largest_reference_error = 0;  // of a log-probability
  // How far the recorded engine is from the exact one, as a share of what is allowed. Above 1 it is
  // wrong already.
  double of_allowed = 0;
};

// A folder that holds the same golden is left as it is. FailedPrecondition: it holds another one.
// OutOfRange: more than kMostGoldenBytes, or a prompt that does not fit. Unimplemented: the engine,
// or a reference for its error, cannot answer.
absl::StatusOr<RecordedGolden> RecordGolden(const RecordGoldenOptions& options);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_RECORD_GOLDEN_H_
