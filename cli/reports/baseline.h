// Findings of an earlier run that shall not fail this one.
#ifndef CROSSCHECK_CLI_REPORTS_BASELINE_H_
#define CROSSCHECK_CLI_REPORTS_BASELINE_H_

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "fuzz/smoke.h"

namespace crosscheck {

// Signatures (property/family/stage/class) of a file: the JSON report of smoke or replay, or a JSON
// array of findings or of signatures as text. Errors name the file and what is wrong with it; a
// report without findings is a baseline without signatures.
absl::StatusOr<std::set<std::string>> ReadBaseline(const std::string& path);

// Marks what the baseline has and counts it as baseline instead of as findings.
void ApplyBaseline(const std::set<std::string>& signatures, SmokeReport& report);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_BASELINE_H_
