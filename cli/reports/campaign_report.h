// A campaign's record in the forms of a run's report: the same JSON keys, JUnit and SARIF as smoke.
#ifndef CROSSCHECK_CLI_REPORTS_CAMPAIGN_REPORT_H_
#define CROSSCHECK_CLI_REPORTS_CAMPAIGN_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fuzz/campaign/store.h"
#include "fuzz/smoke.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// Sums over runs and shards, one row for each property. `errors` says when nothing was judged, what
// could not be judged, and runs that ended with an error. Inputs of the libFuzzer targets are in no
// property's row: a target runs several.
SmokeReport CampaignReport(const CampaignData& data);

// ReportJson of `report`, which is CampaignReport(data), and "executions", "runs",
// "coverage_over_time", "restarts".
nlohmann::json CampaignJson(const CampaignData& data, const SmokeReport& report);

// Sums of a campaign, by engine and property, of all drivers but libFuzzer's.
struct CampaignRow {
  std::string engine, property;
  BatchRow sums;
  std::map<std::string, std::map<std::string, int64_t>> counters;                 // kind, name
  std::map<std::pair<std::string, std::string>, std::map<int, int64_t>> margins;  // path, metric
  int64_t judged() const { return sums.cases - sums.unsupported - sums.setup_errors; }
};
// In the order in which properties are registered, then of engines.
std::vector<CampaignRow> CampaignRows(const CampaignData& data);

// Inputs that libFuzzer targets executed, by target.
std::map<std::string, int64_t> Executions(const CampaignData& data);

// Wall-clock time of the shard that ran longest.
double CampaignSeconds(const CampaignData& data);

// Of a histogram of ratios: the upper edge of the bucket in which the share of all lies; 0 where
// these are exact.
double MarginQuantile(const std::map<int, int64_t>& buckets, double share);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_CAMPAIGN_REPORT_H_
