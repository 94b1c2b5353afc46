#include "quality/tasks/task_file.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "quality/sha256.h"
#include "quality/utf8.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

using Json = nlohmann::json;

const Json& FieldOf(const Json& object, const char* key) {
  static const Json* const missing = new Json();
  const auto found = object.find(key);
  return found == object.end() ? *missing : *found;
}

absl::Status WrongField(const char* key, const char* expected) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\": expected ", expected));
}

}  // namespace

absl::StatusOr<std::string> ReadTaskText(const std::string& path, Task* task) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  if (absl::Status status = CheckUtf8(*text, path); !status.ok()) return status;
  task->files.push_back({.path = path, .rows = 0, .sha256 = Sha256(*text)});
  return text;
}

absl::Status CountRows(int rows, Task* task) {
  TaskFile& file = task->files.back();
  file.rows = rows;
  if (rows > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(file.path, ": no row"));
}

std::string FileName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

absl::Status ReadJsonLines(
    const std::string& path, Task* task,
    const std::function<absl::Status(const Json&, const std::string&)>& row) {
  const absl::StatusOr<std::string> text = ReadTaskText(path, task);
  if (!text.ok()) return text.status();
  int number = 0, rows = 0;
  for (const absl::string_view piece : absl::StrSplit(*text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(piece);
    if (line.empty()) continue;
    const std::string place = absl::StrCat(path, ":", number);
    const absl::StatusOr<Json> json = ParseJson(std::string_view(line.data(), line.size()));
    absl::Status status = json.status();
    if (status.ok() && !json->is_object()) status = WrongField("line", "one JSON object");
    if (status.ok()) status = row(*json, FileName(place));
    if (!status.ok())
      return absl::Status(status.code(), absl::StrCat(place, ": ", status.message()));
    ++rows;
  }
  return CountRows(rows, task);
}

absl::StatusOr<std::string> TextField(const Json& object, const char* key) {
  const Json& value = FieldOf(object, key);
  if (!value.is_string()) return WrongField(key, "a text");
  return value.get<std::string>();
}

absl::StatusOr<std::vector<std::string>> TextsField(const Json& object, const char* key) {
  const Json& value = FieldOf(object, key);
  const auto text = [](const Json& item) { return item.is_string(); };
  if (!value.is_array() || !std::all_of(value.begin(), value.end(), text)) {
    return WrongField(key, "a list of texts");
  }
  return value.get<std::vector<std::string>>();
}

}  // namespace crosscheck::quality
