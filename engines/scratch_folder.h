// A private folder for the files of this process, in memory when the machine has a memory-backed
// folder.
//
// Engines take models as folders, so every generated model is written and read once; nothing may be
// left behind, also after a crash. Each folder holds a locked file: a folder whose lock is free has
// lost its process and is swept by the next process of the same user.
#ifndef CROSSCHECK_ENGINES_SCRATCH_FOLDER_H_
#define CROSSCHECK_ENGINES_SCRATCH_FOLDER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace crosscheck {

class ScratchFolder {
 public:
  // Mode 0700. Sets the umask of the process to 022, because lattice refuses files that others may
  // write. `base`: where it is made; empty: /dev/shm when it is writable, else $TMPDIR or /tmp. A
  // full or unwritable base is an error that names it.
  static absl::StatusOr<std::unique_ptr<ScratchFolder>> Create(std::string base = "");
  ~ScratchFolder();  // removes the folder and what is in it
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  ScratchFolder(std::string path, int lock, int slot)
      : path_(std::move(path)), lock_(lock), slot_(slot) {}

  std::string path_;
  int lock_;  // file descriptor, closed on exec
  int slot_;  // place in the list for signal handlers
};

// Removes every folder of this process that still exists. Async-signal-safe: for signal handlers
// and atexit.
void RemoveAllScratchFolders() noexcept;

// Removes a scratch folder whose process has ended, on that process's behalf; one that a living
// process holds stays. Names are counted, so the folder of this name may be another's by now.
void RemoveAbandonedScratchFolder(const std::string& path);

// Removes a file or a folder with all that is in it, without following links. Async-signal-safe.
// True when it is gone.
bool RemoveTree(const char* path) noexcept;

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_SCRATCH_FOLDER_H_
