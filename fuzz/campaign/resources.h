// What a campaign uses of the machine: memory of its processes, disk of its folder.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace crosscheck {

// Resident bytes of a process and of all that it started; 0 when it is gone.
int64_t ResidentBytes(pid_t pid);

// Bytes of the files below a folder; what vanishes meanwhile counts nothing.
int64_t FolderBytes(const std::string& folder);

// Least-squares slope of y over x; 0 for fewer than two different x.
double Slope(const std::vector<std::pair<double, double>>& points);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_RESOURCES_H_
