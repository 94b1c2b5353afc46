#include "quality/task_requests.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

absl::Status AddTask(absl::StatusOr<Task> task, const TaskOptions& options, Tokenizer* tokenizer,
                     int context, std::vector<TaskRequests>& tasks) {
  if (!task.ok()) return task.status();
  if (tokenizer == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(task->name, " needs the model's tokenizer.json"));
  }
  if (options.limit > 0 && task->questions.size() > static_cast<size_t>(options.limit)) {
    task->questions.resize(static_cast<size_t>(options.limit));
  }
  auto requests = TokeniseQuestions(*tokenizer, task->questions, context);
  if (!requests.ok()) return requests.status();
  tasks.push_back({*std::move(task), *std::move(requests)});
  return absl::OkStatus();
}

}  // namespace

RequestCounts CountRequests(const TaskRequests& task) {
  RequestCounts counts;
  for (const ChoiceRequest& request : task.requests) {
    counts.split_inside_a_token += request.prefix ? 0 : 1;
    counts.truncated += request.truncated ? 1 : 0;
  }
  return counts;
}

absl::StatusOr<std::vector<TaskRequests>> ReadTasks(const TaskOptions& options,
                                                    Tokenizer* tokenizer, int context) {
  std::vector<TaskRequests> tasks;
  absl::Status status;
  if (!options.mmlu.empty()) {
    const MmluStyle style = options.hendrycks ? MmluStyle::kHendrycks : MmluStyle::kHarness;
    status = AddTask(ReadMmlu(options.mmlu, {.shots = options.mmlu_shots, .style = style}), options,
                     tokenizer, context, tasks);
  }
  if (status.ok() && !options.hellaswag.empty()) {
    status = AddTask(ReadHellaSwag(options.hellaswag), options, tokenizer, context, tasks);
  }
  if (status.ok() && !options.arc.empty()) {
    status = AddTask(ReadArc(options.arc, options.arc_shots, options.arc_train), options, tokenizer,
                     context, tasks);
  }
  if (!status.ok()) return status;
  return tasks;
}

}  // namespace crosscheck::quality
