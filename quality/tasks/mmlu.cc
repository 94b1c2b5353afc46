#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "quality/tasks/csv.h"
#include "quality/tasks/task.h"
#include "quality/tasks/task_file.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

constexpr int kChoices = 4;
constexpr std::string_view kLetters = "ABCD";

struct Row {
  std::string id, question;
  std::vector<std::string> choices;
  int answer = 0;
};
using Subjects = std::map<std::string, std::vector<Row>>;

absl::StatusOr<std::vector<Row>> ReadCsvRows(const std::string& path, Task* task) {
  const absl::StatusOr<std::string> text = ReadTaskText(path, task);
  if (!text.ok()) return text.status();
  const auto records = ParseCsv(*text, path);
  if (!records.ok()) return records.status();
  std::vector<Row> rows;
  for (const CsvRecord& record : *records) {
    const std::string place = absl::StrCat(path, ":", record.line);
    const auto& fields = record.fields;
    if (fields.size() != kChoices + 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, ": ", fields.size(), " fields; expected 6: question, A, B, C, D, answer letter"));
    }
    const absl::string_view letter = absl::StripAsciiWhitespace(fields.back());
    const size_t answer = letter.size() == 1 ? kLetters.find(letter[0]) : std::string_view::npos;
    if (answer == std::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ": the answer is \"", fields.back(), "\"; expected A, B, C or D"));
    }
    rows.push_back({.id = FileName(place),
                    .question = fields.front(),
                    .choices = {fields.begin() + 1, fields.end() - 1},
                    .answer = static_cast<int>(answer)});
  }
  if (absl::Status status = CountRows(static_cast<int>(rows.size()), task); !status.ok()) {
    return status;
  }
  return rows;
}

absl::Status ReadJsonRow(const Json& json, const std::string& id, Subjects* subjects) {
  const auto subject = TextField(json, "subject");
  auto question = TextField(json, "question");
  auto choices = TextsField(json, "choices");
  for (const absl::Status& status : {subject.status(), question.status(), choices.status()}) {
    if (!status.ok()) return status;
  }
  const auto answer = json.find("answer");
  const bool in_range =
      answer != json.end() && answer->is_number_unsigned() && answer->get<uint64_t>() < kChoices;
  if (choices->size() != kChoices || !in_range) {
    return absl::InvalidArgumentError("expected 4 \"choices\" and an \"answer\" from 0 to 3");
  }
  (*subjects)[*subject].push_back(
      {id, *std::move(question), *std::move(choices), answer->get<int>()});
  return absl::OkStatus();
}

// One set, "dev" or "test", of which the folder has CSV files of subjects or one file of JSON
// Lines. `wanted` empty: all subjects.
absl::StatusOr<Subjects> ReadSet(const std::string& folder, const std::string& set,
                                 const std::set<std::string>& wanted, Task* task) {
  Subjects subjects;
  const std::string lines = absl::StrCat(folder, "/", set, ".jsonl");
  std::error_code error;
  if (std::filesystem::exists(lines, error)) {
    const absl::Status status = ReadJsonLines(
        lines, task,
        [&](const Json& json, const std::string& id) { return ReadJsonRow(json, id, &subjects); });
    if (!status.ok()) return status;
    return subjects;
  }
  const std::string ending = absl::StrCat("_", set, ".csv");
  std::set<std::string> names = wanted;
  if (wanted.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(folder + "/" + set, error)) {
      const std::string file = entry.path().filename().string();
      if (absl::EndsWith(file, ending)) names.insert(file.substr(0, file.size() - ending.size()));
    }
  }
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat(folder, ": neither ", set, "/SUBJECT", ending, " nor ",
                                            set, ".jsonl; expected the data folder of MMLU"));
  }
  for (const std::string& name : names) {
    auto rows = ReadCsvRows(absl::StrCat(folder, "/", set, "/", name, ending), task);
    if (!rows.ok()) return rows.status();
    subjects[name] = *std::move(rows);
  }
  return subjects;
}

std::string Asked(const Row& row, MmluStyle style) {
  const absl::string_view stripped = absl::StripAsciiWhitespace(row.question);
  std::string text = style == MmluStyle::kHarness ? std::string(stripped) : row.question;
  for (int i = 0; i < kChoices; ++i) {
    absl::StrAppend(&text, "\n", std::string(1, kLetters[i]), ". ", row.choices[i]);
  }
  return text + "\nAnswer:";
}

// Everything before the question.
std::string Preface(const std::string& subject, const std::vector<Row>& examples,
                    const MmluOptions& options) {
  std::string text =
      absl::StrCat("The following are multiple choice questions (with answers) about ",
                   options.style == MmluStyle::kHendrycks ? " " : "",
                   absl::StrReplaceAll(subject, {{"_", " "}}), ".\n\n");
  for (int i = 0; i < options.shots; ++i) {
    absl::StrAppend(&text, Asked(examples[i], options.style), " ",
                    std::string(1, kLetters[examples[i].answer]), "\n\n");
  }
  return text;
}

}  // namespace

absl::StatusOr<Task> ReadMmlu(const std::string& folder, const MmluOptions& options) {
  Task task{.name = "mmlu", .shots = options.shots, .files = {}, .questions = {}};
  const auto test = ReadSet(folder, "test", {}, &task);
  if (!test.ok()) return test.status();
  std::set<std::string> names;
  for (const auto& [name, rows] : *test) names.insert(name);
  absl::StatusOr<Subjects> dev = Subjects();
  if (options.shots > 0) dev = ReadSet(folder, "dev", names, &task);
  if (!dev.ok()) return dev.status();
  for (const auto& [subject, rows] : *test) {
    const std::vector<Row>& examples = (*dev)[subject];
    if (std::cmp_less(examples.size(), options.shots)) {
      return absl::InvalidArgumentError(absl::StrCat(folder, ": the dev set of ", subject, " has ",
                                                     examples.size(), " rows; ", options.shots,
                                                     " examples are wanted"));
    }
    const std::string preface = Preface(subject, examples, options);
    for (const Row& row : rows) {
      task.questions.push_back({.id = row.id,
                                .group = subject,
                                .context = preface + Asked(row, options.style),
                                .choices = {"A", "B", "C", "D"},
                                .gold = row.answer});
    }
  }
  return task;
}

}  // namespace crosscheck::quality
