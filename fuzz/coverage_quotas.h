// What the generator must have reached: shares of labelled cases below which a run is a harness
// error (judging.md 9.5).
#ifndef CROSSCHECK_FUZZ_COVERAGE_QUOTAS_H_
#define CROSSCHECK_FUZZ_COVERAGE_QUOTAS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

struct CoverageQuota {
  std::string_view subject, label;
  double least_share;
  std::string_view family = "";  // the label of the family that has it; empty: every one
};
absl::Span<const CoverageQuota> CoverageQuotas();

// One line for each quota of the subject that is violated beyond chance: the share is more than
// four standard errors below the quota, counting one independent draw per `cases_per_model` cases.
// Below 1,000 cases nothing is checked, nor are labels in `not_generated` (what the engine does not
// serve).
std::vector<std::string> ViolatedQuotas(std::string_view subject,
                                        const std::map<std::string, int64_t>& labels, int64_t cases,
                                        int cases_per_model,
                                        absl::Span<const std::string> not_generated = {});

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_COVERAGE_QUOTAS_H_
