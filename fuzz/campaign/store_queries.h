// Queries that a campaign's own record (Store) and the reader of all records (ReadCampaign) share.
#ifndef CROSSCHECK_FUZZ_CAMPAIGN_STORE_QUERIES_H_
#define CROSSCHECK_FUZZ_CAMPAIGN_STORE_QUERIES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "fuzz/campaign/store.h"

namespace crosscheck {

// The columns of a FindingRow, in the order of its members.
inline constexpr absl::string_view kFindingColumns =
    "signature, property, engine, driver, build, verdict, message, state, elapsed, first_case, "
    "count, case_text, case_file, reduced_text, marginal, minimal, evaluations, replays, failures, "
    "attempts, localised, first_bad";

// Sums of the batches by run, engine, property and driver.
absl::StatusOr<std::vector<BatchRow>> ReadActivity(Database& database);
// In the order of their time.
absl::StatusOr<std::vector<FindingRow>> ReadFindings(Database& database);
// False for a record of version 1, which has the memory of all processes together only.
bool HasMemoryByRole(Database& database);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_CAMPAIGN_STORE_QUERIES_H_
