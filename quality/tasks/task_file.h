// What the readers of task files share: lines of JSON with typed fields, and errors that say where.
#ifndef CROSSCHECK_QUALITY_TASKS_TASK_FILE_H_
#define CROSSCHECK_QUALITY_TASKS_TASK_FILE_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "quality/tasks/task.h"

namespace crosscheck::quality {

// The bytes of a file, which must be UTF-8 and not empty; what was read is listed in `task`.
absl::StatusOr<std::string> ReadTaskText(const std::string& path, Task* task);
// Sets the number of rows of the file that was read last. InvalidArgument: there is none.
absl::Status CountRows(int rows, Task* task);

// The last part of a path.
std::string FileName(const std::string& path);

// Calls `row` with each object of a file of JSON Lines and "FILE:LINE"; an error that it returns
// gets path and line in front.
absl::Status ReadJsonLines(
    const std::string& path, Task* task,
    const std::function<absl::Status(const nlohmann::json&, const std::string&)>& row);

// InvalidArgument when the object has no such field or it is of another type.
absl::StatusOr<std::string> TextField(const nlohmann::json& object, const char* key);
absl::StatusOr<std::vector<std::string>> TextsField(const nlohmann::json& object, const char* key);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TASKS_TASK_FILE_H_
