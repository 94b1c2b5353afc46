#include "engines/input_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

absl::Status Failed(std::string_view action, const std::string& path) {
  const int error = errno;
  return absl::UnavailableError(absl::StrCat("cannot ",
                                             absl::string_view(action.data(), action.size()), " ",
                                             path, ": ", std::strerror(error)));
}

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
  return Failed("make folder", path);
}

// Makes the folders that a name mentions; the path of the file itself.
absl::StatusOr<std::string> PlaceOf(const InputFile& file, const std::string& folder) {
  std::string path = folder;
  const std::vector<std::string> parts = absl::StrSplit(file.name, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty() || parts[i] == "." || parts[i] == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", file.name, "\" is no name of a file inside a folder"));
    }
    absl::StrAppend(&path, "/", parts[i]);
    if (i + 1 == parts.size()) break;
    if (absl::Status status = MakeFolder(path); !status.ok()) return status;
  }
  return path;
}

absl::Status WriteOne(const InputFile& file, const std::string& folder) {
  const absl::StatusOr<std::string> path = PlaceOf(file, folder);
  if (!path.ok()) return path.status();
  if (unlink(path->c_str()) != 0 && errno != ENOENT) return Failed("replace", *path);
  if (!file.link_to.empty()) {
    return symlink(file.link_to.c_str(), path->c_str()) == 0 ? absl::OkStatus()
                                                             : Failed("link", *path);
  }
  absl::Status status = WriteFile(*path, file.bytes, WriteMode::kOverwrite);
  if (status.ok() && chmod(path->c_str(), file.mode) != 0) status = Failed("chmod", *path);
  return status;
}

}  // namespace

absl::Status WriteInputFiles(const InputFiles& files, const std::string& folder) {
  absl::Status status = MakeFolder(folder);
  for (const InputFile& file : files) {
    if (status.ok()) status = WriteOne(file, folder);
  }
  return status;
}

}  // namespace crosscheck
