// Files that a request hands to an engine by naming their folder: an adapter, a tokenizer, a
// hostile checkpoint.
//
// Example:
//   InputFiles files = {{.name = "config.json", .bytes = "{}"}};
//   absl::Status status = WriteInputFiles(files, folder);
#ifndef CROSSCHECK_ENGINES_INPUT_FILES_H_
#define CROSSCHECK_ENGINES_INPUT_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace crosscheck {

struct InputFile {
  std::string name;   // in the folder; folders before a slash are made; `..` and absolute paths are
                      // errors
  std::string bytes;  // empty for a link
  unsigned mode = 0644;      // permissions, exactly these; not of a link
  std::string link_to = {};  // not empty: a symbolic link that holds this text
};
using InputFiles = std::vector<InputFile>;

// Makes `folder` (mode 0755, its parent exists) and the files in it, in order: a later file of one
// name replaces the earlier.
absl::Status WriteInputFiles(const InputFiles& files, const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_INPUT_FILES_H_
