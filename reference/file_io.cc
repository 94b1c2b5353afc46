#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

absl::Status FileError(std::string_view action, const std::string& path) {
  const int error = errno;
  const std::string text =
      absl::StrCat("cannot ", std::string(action), " ", path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  if (error == EACCES || error == EPERM || error == EROFS) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

absl::Status WriteAll(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// Writes and closes. The file is not truncated first: a memory-backed file keeps its pages, and
// only the tail is cut.
absl::Status Fill(int descriptor, std::string_view bytes, const std::string& path) {
  absl::Status status = WriteAll(descriptor, bytes, path);
  if (status.ok() && ftruncate(descriptor, static_cast<off_t>(bytes.size())) != 0) {
    status = FileError("resize", path);
  }
  if (close(descriptor) != 0 && status.ok()) status = FileError("close", path);
  return status;
}

absl::Status Replace(const std::string& path, std::string_view bytes) {
  std::string temporary = path + ".XXXXXX";
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return FileError("create", temporary);
  absl::Status status =
      fchmod(descriptor, 0644) == 0 ? absl::OkStatus() : FileError("chmod", temporary);
  status.Update(Fill(descriptor, bytes, path));
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = FileError("replace", path);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace

absl::Status WriteFile(const std::string& path, std::string_view bytes, WriteMode mode) {
  if (mode == WriteMode::kAtomic) return Replace(path, bytes);
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return FileError("open", path);
  return Fill(descriptor, bytes, path);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FileError("open", path);
  struct stat info = {};
  std::string bytes;
  if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
    bytes.reserve(static_cast<size_t>(info.st_size));
  }
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = read(descriptor, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      absl::Status status = FileError("read", path);
      close(descriptor);
      return status;
    }
    if (count == 0) break;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  close(descriptor);
  return bytes;
}

}  // namespace crosscheck
