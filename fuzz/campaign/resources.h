// What a campaign uses of the machine: memory of its processes, disk of its folder.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace crosscheck {

// Resident bytes of a campaign's processes, by what they do.
struct MemoryUse {
  int64_t supervisor = 0;
  int64_t workers = 0;  // what the supervisor started: workers, reductions, fuzz targets
  int64_t engines = 0;  // what those started
  int64_t Sum() const { return supervisor + workers + engines; }
};

// Of the supervisor with this process id and of all below it; nothing when it is gone.
MemoryUse MemoryOfCampaign(pid_t supervisor);

std::vector<pid_t> ChildrenOf(pid_t pid);

// Resident bytes of the process that holds most, of this one and of those that it started.
int64_t LargestProcess(pid_t pid);

// Gives memory that was freed, and that the allocator keeps for later, back to the system. An
// allocator never returns all by itself, so that a worker which meets one large model stays as
// large.
void ReturnFreeMemory();

// Bytes of the files below a folder; what vanishes meanwhile counts nothing.
int64_t FolderBytes(const std::string& folder);

// Least-squares slope of y over x; 0 for fewer than two different x.
double Slope(const std::vector<std::pair<double, double>>& points);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_
