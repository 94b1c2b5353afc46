// Questions as token ids: for each choice what the model reads and which of its predictions count.
#ifndef CROSSCHECK_QUALITY_TASKS_CHOICE_REQUEST_H_
#define CROSSCHECK_QUALITY_TASKS_CHOICE_REQUEST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quality/tasks/task.h"
#include "quality/tokenizer.h"

namespace crosscheck::quality {

// The last `scored` ids are the choice: position t of all but the last id predicts ids[t + 1], and
// the log-likelihood of the choice is the sum over t >= ids.size() - 1 - scored.
struct ChoiceRequest {
  int question = 0, choice = 0;
  std::vector<int32_t> ids;
  int scored = 0;
  bool prefix = true;      // the ids of the context begin those of the whole text
  bool truncated = false;  // the front of the context was dropped
};

// Every choice of every question, in order, by the rule of lm-evaluation-harness: the continuation
// is " " + choice; spaces at the end of the context move to its front; context and continuation are
// tokenised together and split by the number of ids that the context alone gives, even where that
// splits inside a merged token (`prefix` is then false); an empty context is the BOS token or,
// where there is none, EOS; the model reads at most `context` ids, the last ones.
//
// InvalidArgument, naming question and choice: an empty context and neither BOS nor EOS, or a
// continuation of no id or of more than `context`.
absl::StatusOr<std::vector<ChoiceRequest>> TokeniseQuestions(Tokenizer& tokenizer,
                                                             absl::Span<const Question> questions,
                                                             int context);

// One request from the ids of the context and of the whole text, both without special tokens of the
// post-processor; `first` stands for an empty context, -1: there is no such token.
absl::StatusOr<ChoiceRequest> SplitRequest(const std::vector<int32_t>& context_ids,
                                           const std::vector<int32_t>& whole_ids, int32_t first,
                                           int context);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASKS_CHOICE_REQUEST_H_
