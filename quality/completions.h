// The answers of `crosscheck serve`: log-probabilities of prompts in the form of OpenAI's
// completions API (docs/serve.md).
//
// Example:
//   auto completions = Completions::Open({.engine = "torch:fp64", .model = folder});
//   auto answer = (*completions)->Answer(R"({"prompt": [1, 2], "temperature": 0, …})");
#ifndef CROSSCHECK_QUALITY_COMPLETIONS_H_
#define CROSSCHECK_QUALITY_COMPLETIONS_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/completion_request.h"
#include "quality/side.h"
#include "quality/tokenizer.h"

namespace crosscheck::quality {

// One position: what it says of the token that follows, and the tokens that it finds most likely.
struct Prediction {
  int32_t token = -1;
  double logprob = 0;
  std::vector<std::pair<int32_t, double>> top;  // the most likely first
};

class Completions {
 public:
  static absl::StatusOr<std::unique_ptr<Completions>> Open(const SideOptions& options);

  // The answer to one request, whose body is JSON. Of each prompt of n tokens with `echo` there are
  // n + 1 log-probabilities: the first is null, the last is that of the token which the model would
  // choose next. A token is the most likely one exactly when its number is the largest of its
  // "top_logprobs": both are printed from one double. InvalidArgument: a request that is not
  // served; other errors are the engine's, which is started again by the next request when it died.
  // One request at a time; may be called from any thread.
  absl::StatusOr<Json> Answer(std::string_view body);

  const std::string& model() const { return options_.model; }
  const std::string& engine() const { return options_.engine; }
  int vocab() const { return vocab_; }
  int context() const { return context_; }

 private:
  explicit Completions(SideOptions options) : options_(std::move(options)) {}
  absl::Status Start();
  absl::StatusOr<std::vector<int32_t>> IdsOf(const CompletionPrompt& prompt);
  absl::StatusOr<Json> Choice(const std::vector<int32_t>& ids, const CompletionRequest& request,
                              int index);
  // Of positions [first, size of ids); the last one predicts its most likely token.
  absl::StatusOr<std::vector<Prediction>> Predictions(absl::Span<const int32_t> ids, int first,
                                                      int top);
  absl::Status LearnTokens(absl::Span<const int32_t> ids);
  // `unpredicted`: a first token that nothing predicts; -1: none.
  Json Logprobs(absl::Span<const Prediction> predictions, int32_t unpredicted);

  const SideOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Side> side_;            // null after it died
  std::unique_ptr<Tokenizer> tokenizer_;  // null: the folder has none, prompts are ids
  std::map<int32_t, std::string> texts_;  // of tokens that occurred
  int vocab_ = 0, context_ = 0, eos_ = -1;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPLETIONS_H_
