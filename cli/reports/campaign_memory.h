// How the memory of a campaign's processes grows.
#ifndef CROSSCHECK_CLI_REPORTS_CAMPAIGN_MEMORY_H_
#define CROSSCHECK_CLI_REPORTS_CAMPAIGN_MEMORY_H_

#include <string>

#include "fuzz/campaign/store.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// Bytes per hour over the second half of a run's samples (the first half is warming up: caches,
// pools, libraries), by least squares; NaN with fewer than four samples in it.
struct MemoryGrowth {
  double all, supervisor, workers, engines;
};
MemoryGrowth MemoryGrowthOf(const CampaignData& data, int64_t run);

// One line about the last run, with its end; "" for a run of less than two minutes, of which
// start-up is all that could be seen.
std::string MemoryLine(const CampaignData& data);

// Of the last run, in MB per hour; 0 when it had too few samples.
nlohmann::json MemoryJson(const CampaignData& data);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_CAMPAIGN_MEMORY_H_
