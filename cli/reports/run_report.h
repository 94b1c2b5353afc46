// The formats of a run's report: text for a person, JSON (schema 1), JUnit and SARIF 2.1.0 for
// other programs. `smoke` and `replay` report through them.
#ifndef CROSSCHECK_CLI_REPORTS_RUN_REPORT_H_
#define CROSSCHECK_CLI_REPORTS_RUN_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "fuzz/localise.h"
#include "fuzz/smoke.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

void PrintReport(const SmokeReport& report);
nlohmann::json ReportJson(const SmokeReport& report);
// {"layer", "stage", "means"}, layer -1 outside the layers, or null.
nlohmann::json FirstBadJson(const std::optional<FirstBad>& place);

// One test case per property; a property with findings fails, one that judged nothing is skipped
// with its reasons, set-up errors are errors. What belongs to no property is in a test case "run".
// The text is legal XML 1.0 whatever engines and paths hold.
std::string ReportJunit(const SmokeReport& report);

// One result per finding at its .case file; the rule is the signature, which begins with the
// property. Findings of the baseline are notes with the baseline state "unchanged".
nlohmann::json ReportSarif(const SmokeReport& report);

// Findings and flagged drifts, which have no case file, in one list.
std::vector<SmokeFinding> AllFindings(const SmokeReport& report);

// Whether the run fails: a finding that is not in the baseline.
bool HasNewFinding(const SmokeReport& report);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_RUN_REPORT_H_
