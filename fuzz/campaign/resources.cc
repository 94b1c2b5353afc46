#include "fuzz/campaign/resources.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace crosscheck {

namespace fs = std::filesystem;

int64_t ResidentBytes(pid_t pid) {
  int64_t total = 0, pages = 0, resident = 0;
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  if (statm >> pages >> resident) total = resident * sysconf(_SC_PAGESIZE);
  std::ifstream children(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  for (pid_t child = 0; children >> child;) total += ResidentBytes(child);
  return total;
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
