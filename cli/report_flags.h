// The output flags that verbs with findings share: --json, --junit, --sarif, --baseline.
#ifndef CROSSCHECK_CLI_REPORT_FLAGS_H_
#define CROSSCHECK_CLI_REPORT_FLAGS_H_

#include <set>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fuzz/smoke.h"

namespace crosscheck {

struct ReportFlags {
  std::string json, junit, sarif, baseline;
  bool ToStdout() const { return json == "-" || junit == "-" || sarif == "-"; }
};

void AddReportFlags(CLI::App& verb, ReportFlags& flags);

// Before the run: the baseline's signatures (none without --baseline). An unreadable baseline and
// two formats on stdout are errors.
absl::StatusOr<std::set<std::string>> CheckReportFlags(const ReportFlags& flags);

// Writes every format that was asked for; `json` is the verb's own object.
absl::Status WriteReports(const SmokeReport& report, const nlohmann::json& json,
                          const ReportFlags& flags);

// The exit code: 2 with a finding that is not in the baseline, else 1 with errors (printed), else
// 0.
int ExitCodeOf(const SmokeReport& report);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORT_FLAGS_H_
