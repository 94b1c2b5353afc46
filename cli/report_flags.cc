#include "cli/report_flags.h"

#include <iostream>

#include "cli/reports/baseline.h"
#include "cli/reports/run_report.h"
#include "cli/verb.h"
#include "reference/safetensors.h"

namespace crosscheck {

void AddReportFlags(CLI::App& verb, ReportFlags& flags) {
  verb.add_option("--json", flags.json, "Write JSON to a file, '-' for stdout");
  verb.add_option("--junit", flags.junit, "Write JUnit XML, one test case per property");
  verb.add_option("--sarif", flags.sarif, "Write SARIF 2.1.0, one result per finding");
  verb.add_option("--baseline", flags.baseline,
                  "JSON report or list of findings of an earlier run: only new signatures fail");
}

absl::StatusOr<std::set<std::string>> CheckReportFlags(const ReportFlags& flags) {
  const int to_stdout =
      (flags.json == "-" ? 1 : 0) + (flags.junit == "-" ? 1 : 0) + (flags.sarif == "-" ? 1 : 0);
  if (to_stdout > 1) {
    return absl::InvalidArgumentError(
        "only one of --json, --junit and --sarif can be '-'; give the others a file name");
  }
  if (flags.baseline.empty()) return std::set<std::string>{};
  return ReadBaseline(flags.baseline);
}

absl::Status WriteReports(const SmokeReport& report, const nlohmann::json& json,
                          const ReportFlags& flags) {
  absl::Status status = WriteJson(json, flags.json);
  status.Update(WriteJson(ReportSarif(report), flags.sarif));
  if (flags.junit == "-") {
    std::cout << ReportJunit(report);
  } else if (!flags.junit.empty()) {
    status.Update(WriteFile(flags.junit, ReportJunit(report)));
  }
  return status;
}

int ExitCodeOf(const SmokeReport& report) {
  if (HasNewFinding(report)) return kExitFinding;
  for (const std::string& error : report.errors) Fail(absl::FailedPreconditionError(error));
  return report.errors.empty() ? kExitClean : kExitError;
}

}  // namespace crosscheck
