// The multiple-choice tasks that a comparison asks, tokenised.
#ifndef CROSSCHECK_QUALITY_TASK_REQUESTS_H_
#define CROSSCHECK_QUALITY_TASK_REQUESTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/tasks/choice_request.h"
#include "quality/tasks/task.h"

namespace crosscheck::quality {

// Where the files of a task are; "": it is not asked for.
struct TaskOptions {
  std::string mmlu, hellaswag, arc, arc_train;
  int mmlu_shots = 5, arc_shots = 0;
  bool hendrycks = false;  // MMLU's prompts as the original script writes them
  int limit = 0;           // questions of each task; 0: all
};

struct TaskRequests {
  Task task;
  std::vector<ChoiceRequest> requests;
};

// Requests of a task whose tokens are not those of its context followed by those of its choice, and
// those whose context lost its front.
struct RequestCounts {
  int split_inside_a_token = 0, truncated = 0;
};
RequestCounts CountRequests(const TaskRequests& task);

absl::StatusOr<std::vector<TaskRequests>> ReadTasks(const TaskOptions& options,
                                                    Tokenizer* tokenizer, int context);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASK_REQUESTS_H_
