// Multiple-choice tasks in the files that their users have: questions turned into a context and
// continuations of which an engine says the log-likelihood. Scoring is in quality/metrics.
//
// Example:
//   auto task = ReadMmlu("mmlu/data", {.shots = 5});
//   auto requests = TokeniseQuestions(*tokenizer, task->questions, /*context=*/2048);
#ifndef CROSSCHECK_QUALITY_TASKS_TASK_H_
#define CROSSCHECK_QUALITY_TASKS_TASK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

struct Question {
  std::string id;       // file and line
  std::string group;    // MMLU: the subject; else ""
  std::string context;  // what the model reads before a choice
  // Without the space that goes before each: lengths of choices are measured without it.
  std::vector<std::string> choices;
  int gold = 0;  // index into choices
};

// A file that was read, for the report.
struct TaskFile {
  std::string path;
  int rows = 0;
  std::string sha256;
};

struct Task {
  std::string name;  // "mmlu", "hellaswag", "arc"
  int shots = 0;     // solved examples before each question
  std::vector<TaskFile> files;
  std::vector<Question> questions;
};

// The style of MMLU's prompts: as lm-evaluation-harness writes them, or as the original script,
// which has two spaces before the subject and does not strip questions.
enum class MmluStyle { kHarness, kHendrycks };
struct MmluOptions {
  int shots = 5;  // the first of the subject's dev set
  MmluStyle style = MmluStyle::kHarness;
};
// `folder` holds dev/SUBJECT_dev.csv and test/SUBJECT_test.csv (no header; question, A, B, C, D,
// answer letter), or dev.jsonl and test.jsonl with {subject, question, choices[4], answer 0-3}.
// Subjects in alphabetical order. Errors of this and the other readers name file and line;
// NotFound: a file is missing.
absl::StatusOr<Task> ReadMmlu(const std::string& folder, const MmluOptions& options);

// JSON Lines of {activity_label, ctx_a, ctx_b, endings[4], label}, as hellaswag_val.jsonl.
absl::StatusOr<Task> ReadHellaSwag(const std::string& path);

// JSON Lines of {id, question: {stem, choices: [{text, label}]}, answerKey}, or flat {id, question,
// choices: {text[], label[]}, answerKey}; 3 to 5 choices. `shots` examples are the first of
// `train`, a file of the same form, which is not read when shots is 0.
absl::StatusOr<Task> ReadArc(const std::string& path, int shots, const std::string& train);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASKS_TASK_H_
