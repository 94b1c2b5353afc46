#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "quality/tasks/task.h"
#include "quality/tasks/task_file.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr size_t kFewestChoices = 3;
constexpr size_t kMostChoices = 5;

struct Options {
  std::vector<std::string> texts, labels;
};

// [{text, label}, …] of the published files, or {text: […], label: […]} of exports.
absl::StatusOr<Options> ReadOptions(const Json& object) {
  const auto choices = object.find("choices");
  if (choices == object.end()) return absl::InvalidArgumentError("there is no \"choices\"");
  Options options;
  if (choices->is_object()) {
    auto texts = TextsField(*choices, "text"), labels = TextsField(*choices, "label");
    if (!texts.ok()) return texts.status();
    if (!labels.ok()) return labels.status();
    options = {*std::move(texts), *std::move(labels)};
  }
  for (const Json& choice : choices->is_array() ? *choices : Json::array()) {
    if (!choice.is_object()) return absl::InvalidArgumentError("a choice is not an object");
    auto text = TextField(choice, "text"), label = TextField(choice, "label");
    if (!text.ok()) return text.status();
    if (!label.ok()) return label.status();
    options.texts.push_back(*std::move(text));
    options.labels.push_back(*std::move(label));
  }
  const size_t count = options.texts.size();
  if (count < kFewestChoices || count > kMostChoices || options.labels.size() != count) {
    return absl::InvalidArgumentError(absl::StrCat(count, " texts and ", options.labels.size(),
                                                   " labels of choices; expected 3 to 5 of each"));
  }
  return options;
}

absl::StatusOr<Question> ReadQuestion(const Json& row, const std::string& id) {
  const auto stem = row.find("question");
  const bool nested = stem != row.end() && stem->is_object();
  const auto text = nested ? TextField(*stem, "stem") : TextField(row, "question");
  if (!text.ok()) return text.status();
  absl::StatusOr<Options> options = ReadOptions(nested ? *stem : row);
  if (!options.ok()) return options.status();
  const auto key = TextField(row, "answerKey");
  if (!key.ok()) return key.status();
  const auto gold = std::find(options->labels.begin(), options->labels.end(), *key);
  if (gold == options->labels.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"answerKey\" is \"", *key, "\", which no choice has as its label"));
  }
  Question question{.id = id, .group = "", .context = "", .choices = {}};
  question.context = absl::StrCat("Question: ", *text, "\nAnswer:");
  question.gold = static_cast<int>(gold - options->labels.begin());
  question.choices = std::move(options->texts);
  return question;
}

absl::Status ReadQuestions(const std::string& path, Task* task, std::vector<Question>* questions) {
  return ReadJsonLines(path, task, [&](const Json& row, const std::string& id) {
    absl::StatusOr<Question> question = ReadQuestion(row, id);
    if (!question.ok()) return question.status();
    questions->push_back(*std::move(question));
    return absl::OkStatus();
  });
}

}  // namespace

absl::StatusOr<Task> ReadArc(const std::string& path, int shots, const std::string& train) {
  Task task{.name = "arc", .shots = shots, .files = {}, .questions = {}};
  absl::Status status = ReadQuestions(path, &task, &task.questions);
  if (!status.ok() || shots == 0) {
    return status.ok() ? absl::StatusOr<Task>(std::move(task)) : status;
  }
  std::vector<Question> examples;
  if (status = ReadQuestions(train, &task, &examples); !status.ok()) return status;
  if (std::cmp_less(examples.size(), shots)) {
    return absl::InvalidArgumentError(
        absl::StrCat(train, " has ", examples.size(), " rows; ", shots, " examples are wanted"));
  }
  std::string preface;
  for (int i = 0; i < shots; ++i) {
    absl::StrAppend(&preface, examples[i].context, " ", examples[i].choices[examples[i].gold],
                    "\n\n");
  }
  for (Question& question : task.questions) question.context.insert(0, preface);
  return task;
}

}  // namespace crosscheck::quality
