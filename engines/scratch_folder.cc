#include "engines/scratch_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

// What happens here depends on the folders of other processes. A fuzzing engine would take that for
// a property of the input.
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)

namespace crosscheck {
namespace {

constexpr char kLockName[] = ".lock";
constexpr int kMostFolders = 1'000'000;
constexpr int kAttempts = 100;
constexpr int kSlots = 16;  // folders of one process at the same time
constexpr time_t kSecondsToLock =
    60;  // a folder without a lock file may be in the making for so long

// Paths for signal handlers, which may not touch std::string. A slot is in use when its flag is
// set.
struct Slot {
  std::atomic<bool> reserved = false;
  std::atomic<bool> ready = false;
  char path[PATH_MAX] = {};
};
Slot slots[kSlots];

bool RemoveAt(int parent, const char* name) noexcept;

// One pass over a folder; the number of entries removed. The raw system call, because opendir
// allocates.
int RemoveEntries(int folder) noexcept {
  struct Entry {  // linux_dirent64
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[1];
  };
  alignas(Entry) char buffer[4096];
  int removed = 0;
  for (;;) {
    const long read = syscall(SYS_getdents64, folder, buffer, sizeof(buffer));
    if (read <= 0) return removed;
    for (long at = 0; at < read;) {
      const Entry* entry = reinterpret_cast<const Entry*>(buffer + at);
      const char* name = reinterpret_cast<const char*>(entry) + offsetof(Entry, name);
      const bool dots = std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
      if (!dots && RemoveAt(folder, name)) ++removed;
      at += entry->size;
    }
  }
}

bool RemoveAt(int parent, const char* name) noexcept {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
  const int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return false;
  // Again from the start, because removal may hide entries from the pass.
  while (RemoveEntries(folder) > 0) lseek(folder, 0, SEEK_SET);
  close(folder);
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

std::string DefaultBase() {
  if (access("/dev/shm", W_OK | X_OK) == 0) return "/dev/shm";
  const char* temporary = std::getenv("TMPDIR");
  return temporary != nullptr && *temporary != 0 ? temporary : "/tmp";
}

std::string Prefix() { return absl::StrCat("crosscheck-", getuid(), "-"); }

absl::Status Failed(std::string_view what, const std::string& path) {
  const int error = errno;
  return absl::UnavailableError(absl::StrCat(absl::string_view(what.data(), what.size()), " ", path,
                                             ": ", std::strerror(error),
                                             "; free space there or set TMPDIR"));
}

// True when the folder belongs to no living process. The lock stays open in `lock` while the folder
// is removed.
bool IsStale(const std::string& path, int* lock) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != getuid()) {
    return false;
  }
  *lock = open((path + "/" + kLockName).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (*lock < 0) return errno == ENOENT && info.st_mtime + kSecondsToLock < time(nullptr);
  // Unlinked meanwhile: its process removed the folder, and the name may be another's by now.
  return flock(*lock, LOCK_EX | LOCK_NB) == 0 && fstat(*lock, &info) == 0 && info.st_nlink == 1;
}

}  // namespace

void RemoveAbandonedScratchFolder(const std::string& path) {
  int lock = -1;
  if (IsStale(path, &lock)) RemoveTree(path.c_str());
  if (lock >= 0) close(lock);
}

namespace {

void SweepStale(const std::string& base) {
  DIR* folder = opendir(base.c_str());
  if (folder == nullptr) return;
  std::vector<std::string> found;
  const std::string prefix = Prefix();
  while (const dirent* entry = readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.compare(0, prefix.size(), prefix) == 0) found.push_back(base + "/" + name);
  }
  closedir(folder);
  for (const std::string& path : found) RemoveAbandonedScratchFolder(path);
}

int ReserveSlot(const std::string& path) {
  for (int i = 0; i < kSlots; ++i) {
    if (path.size() >= sizeof(slots[i].path) || slots[i].reserved.exchange(true)) continue;
    std::memcpy(slots[i].path, path.c_str(), path.size() + 1);
    slots[i].ready = true;
    return i;
  }
  return -1;
}

void FreeSlot(int slot) {
  slots[slot].ready = false;
  slots[slot].reserved = false;
}

// A locked lock file in `path`, or -1. A sweeper may take the folder between its creation and the
// lock: then the file is gone from the folder although the lock was got.
int LockFolder(const std::string& path) {
  const std::string name = path + "/" + kLockName;
  const int lock = open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (lock < 0) return -1;
  struct stat info{};
  errno = 0;
  if (flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &info) == 0 && info.st_nlink == 1) {
    return lock;
  }
  const int error = errno;
  close(lock);
  errno = error == 0 ? EBUSY : error;
  return -1;
}

// The first free name, "" when none can be made. Counted and not random: a fuzzing engine sees the
// bytes that an engine compares, names of files among them, and the same input shall look the same.
std::string NewFolder(const std::string& start) {
  for (int i = 0; i < kMostFolders; ++i) {
    std::string path = absl::StrFormat("%s%06d", start, i);
    if (mkdir(path.c_str(), 0700) == 0) return path;
    if (errno != EEXIST) return "";
  }
  return "";
}

}  // namespace

bool RemoveTree(const char* path) noexcept { return RemoveAt(AT_FDCWD, path); }

void RemoveAllScratchFolders() noexcept {
  for (Slot& slot : slots) {
    if (slot.ready.exchange(false)) RemoveTree(slot.path);
  }
}

absl::StatusOr<std::unique_ptr<ScratchFolder>> ScratchFolder::Create(std::string base) {
  if (base.empty()) base = DefaultBase();
  umask(022);
  SweepStale(base);
  std::string path;
  int lock = -1;
  // A sweeper may take the folder before it is locked, and removes it then.
  for (int attempt = 0; lock < 0 && attempt < kAttempts; ++attempt) {
    path = NewFolder(base + "/" + Prefix());
    if (path.empty()) return Failed("cannot create a scratch folder in", base);
    lock = LockFolder(path);
    const bool swept = errno == EBUSY || errno == EWOULDBLOCK || errno == ENOENT || errno == EEXIST;
    if (lock < 0 && !swept) {
      const absl::Status status = Failed("cannot lock the scratch folder", path);
      RemoveTree(path.c_str());
      return status;
    }
  }
  if (lock < 0) return Failed("cannot lock the scratch folder", path);
  const int slot = ReserveSlot(path);
  if (slot < 0) {
    RemoveTree(path.c_str());
    close(lock);
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kSlots, " scratch folders in one process"));
  }
  return std::unique_ptr<ScratchFolder>(new ScratchFolder(std::move(path), lock, slot));
}

// Not in the list any more when the name is free for others.
ScratchFolder::~ScratchFolder() {
  FreeSlot(slot_);
  struct stat info{};
  // A signal handler may have removed it already.
  if (fstat(lock_, &info) == 0 && info.st_nlink == 1) RemoveTree(path_.c_str());
  close(lock_);
}

}  // namespace crosscheck

#pragma clang attribute pop
