#include "fuzz/campaign/resources.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

// gperftools/malloc_extension_c.h: there where tcmalloc is the allocator.
extern "C" __attribute__((weak)) void MallocExtension_MarkThreadIdle();
extern "C" __attribute__((weak)) void MallocExtension_ReleaseFreeMemory();

namespace crosscheck {

namespace fs = std::filesystem;

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  std::ifstream file(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

namespace {

int64_t ResidentBytes(pid_t pid) {
  int64_t pages = 0, resident = 0;
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  return statm >> pages >> resident ? resident * sysconf(_SC_PAGESIZE) : 0;
}

int64_t ResidentBytesBelow(pid_t pid) {
  int64_t total = 0;
  for (const pid_t child : ChildrenOf(pid))
    total += ResidentBytes(child) + ResidentBytesBelow(child);
  return total;
}

}  // namespace

int64_t LargestProcess(pid_t pid) {
  int64_t largest = ResidentBytes(pid);
  for (const pid_t child : ChildrenOf(pid)) largest = std::max(largest, LargestProcess(child));
  return largest;
}

MemoryUse MemoryOfCampaign(pid_t supervisor) {
  MemoryUse use{.supervisor = ResidentBytes(supervisor)};
  for (const pid_t worker : ChildrenOf(supervisor)) {
    use.workers += ResidentBytes(worker);
    use.engines += ResidentBytesBelow(worker);
  }
  return use;
}

void ReturnFreeMemory() {
  if (MallocExtension_ReleaseFreeMemory == nullptr) {
    malloc_trim(0);
    return;
  }
  if (MallocExtension_MarkThreadIdle != nullptr) MallocExtension_MarkThreadIdle();
  MallocExtension_ReleaseFreeMemory();
}

int64_t FolderBytes(const std::string& folder) {
  int64_t total = 0;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(folder, options, error), end; entry != end;) {
    std::error_code gone;
    if (entry->is_regular_file(gone)) {
      const auto bytes = entry->file_size(gone);
      if (!gone) total += static_cast<int64_t>(bytes);
    }
    entry.increment(error);
    if (error) break;
  }
  return total;
}

double Slope(const std::vector<std::pair<double, double>>& points) {
  const auto n = static_cast<double>(points.size());
  double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
  for (const auto& [x, y] : points) {
    mean_x += x / n;
    mean_y += y / n;
  }
  for (const auto& [x, y] : points) {
    xy += (x - mean_x) * (y - mean_y);
    xx += (x - mean_x) * (x - mean_x);
  }
  return xx > 0 ? xy / xx : 0;
}

}  // namespace crosscheck
