// `crosscheck report`: what a campaign did, as a page for people and as JSON, JUnit and SARIF.
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/report_flags.h"
#include "cli/reports/baseline.h"
#include "cli/reports/campaign_page.h"
#include "cli/reports/campaign_report.h"
#include "cli/verb.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct CampaignReportFlags {
  std::string workdir, html;
  ReportFlags reports;
};

int RunReport(const CampaignReportFlags& flags) {
  auto baseline = CheckReportFlags(flags.reports);
  if (!baseline.ok()) return Fail(baseline.status());
  auto data = ReadCampaign(flags.workdir);
  if (!data.ok()) return Fail(data.status());
  SmokeReport report = CampaignReport(*data);
  ApplyBaseline(*baseline, report);
  const std::string html = flags.html.empty() ? flags.workdir + "/report.html" : flags.html;
  absl::Status written = WriteFile(html, CampaignPage(*data, flags.workdir));
  written.Update(WriteReports(report, CampaignJson(*data, report), flags.reports));
  if (!written.ok()) return Fail(written);
  if (!flags.reports.ToStdout()) {
    std::cout << absl::StrCat(report.cases, " cases, ", data->findings.size(), " findings, ",
                              data->restarts.size(), " restarts: ", html, "\n");
  }
  return ExitCodeOf(report);
}

}  // namespace

void AddReport(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CampaignReportFlags>();
  CLI::App* verb =
      app.add_subcommand("report", "What a campaign did: a page, and JSON, JUnit and SARIF");
  verb->add_option("workdir", flags->workdir, "Work directory of `crosscheck fuzz`")->required();
  verb->add_option("--html", flags->html, "The page (default WORKDIR/report.html)");
  AddReportFlags(*verb, flags->reports);
  verb->footer(
      "Examples:\n"
      "  crosscheck report campaign\n"
      "  crosscheck report campaign --html campaign.html --json campaign.json --sarif -");
  verb->callback([flags, &exit_code] { exit_code = RunReport(*flags); });
}

}  // namespace crosscheck
