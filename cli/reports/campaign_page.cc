#include "cli/reports/campaign_page.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/reports/campaign_memory.h"
#include "cli/reports/campaign_report.h"
#include "cli/reports/svg_chart.h"
#include "fmt/format.h"
#include "properties/verdict.h"

namespace crosscheck {
namespace {

constexpr size_t kOpenFindings = 5;
// A row with a larger share of cases that decided nothing is worth a look.
constexpr double kMostUndecided = 0.5;

// For a POSIX shell.
std::string Quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) ||
           std::string_view("-._/:=@,+").find(static_cast<char>(c)) != std::string_view::npos;
  });
  return plain ? word : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

std::string ReplayCommand(const FindingRow& finding) {
  return absl::StrCat("crosscheck replay ", Quoted(finding.case_file), " --engine ",
                      Quoted(finding.engine));
}

Markup StateBadge(const FindingRow& finding) {
  const auto state = static_cast<size_t>(finding.state);
  const bool sure = finding.state == FindingState::kConfirmed;
  return Badge(sure ? "bad" : "doubtful", kFindingStateNames[state]);
}

std::string FindingFacts(const FindingRow& f) {
  std::vector<std::string> facts = {f.verdict, f.engine, Plural(f.count, "case"),
                                    absl::StrCat("first after ", DurationText(f.elapsed), " (case ",
                                                 GroupedCount(f.first_case), ", ", f.driver, ")")};
  if (f.marginal) facts.emplace_back("marginal: less than 1.5 times its bound");
  if (f.replays > 0) {
    facts.push_back(absl::StrCat("fails in ", f.failures, " of ", f.replays, " fresh processes"));
  }
  if (!f.reduced_text.empty()) {
    facts.push_back(absl::StrCat(f.minimal ? "minimal" : "reduced, not minimal", " after ",
                                 GroupedCount(f.evaluations), " evaluations"));
  }
  if (!f.build.empty()) facts.push_back("build " + f.build);
  return absl::StrJoin(facts, " · ");
}

Markup FindingDetails(const FindingRow& f, bool open) {
  const bool reduced = !f.reduced_text.empty();
  Markup inside = Element("p", {{"class", "note"}}, FindingFacts(f)) + CodeBlock(f.message);
  if (!f.localised.empty()) inside += Paragraph("First bad layer: " + Markup(f.localised));
  const std::string& text = reduced ? f.reduced_text : f.case_text;
  inside += Element("h3", reduced ? "Reduced case" : "First case, not reduced yet");
  inside += text.empty() ? Paragraph("The text of the case was not recorded.") : CodeBlock(text);
  inside += Element("h3", "Replay");
  inside += f.case_file.empty() ? Paragraph(
                                      "No case file was written yet; the text above, saved as "
                                      "a file, can be replayed.")
                                : CodeBlock(ReplayCommand(f));
  if (reduced && !f.case_text.empty() && f.case_text != f.reduced_text) {
    inside += Folded("The first case", CodeBlock(f.case_text));
  }
  return Element("details", {{"class", "finding"}, {"open", open ? "open" : ""}},
                 Element("summary", StateBadge(f) + " " + Code(f.signature)) + inside);
}

// What a row of the table of cases says beside its numbers.
Markup RowRemark(const CampaignRow& row) {
  if (row.judged() == 0) return Badge("bad", "nothing judged");
  const auto undecided =
      static_cast<double>(row.sums.cases - row.sums.passed - row.sums.findings - row.sums.known);
  if (undecided > kMostUndecided * static_cast<double>(row.sums.cases)) {
    return Badge("doubtful", "mostly undecided");
  }
  return {};
}

Markup MixOf(const CampaignRow& row) {
  const BatchRow& s = row.sums;
  const auto share = [&](int64_t count) {
    return static_cast<double>(count) / static_cast<double>(std::max<int64_t>(s.cases, 1));
  };
  return MixBar(
      fmt::format("{} passed, {} near ties, {} unsupported, {} set-up errors, {} findings, "
                  "{} known",
                  s.passed, s.near_ties, s.unsupported, s.setup_errors, s.findings, s.known),
      {{1, share(s.passed)},
       {2, share(s.near_ties)},
       {0, share(s.unsupported)},
       {4, share(s.setup_errors)},
       {5, share(s.findings)},
       {6, share(s.known)}});
}

// Reasons of one kind with their numbers and where they were given, most frequent first.
Markup Reasons(const std::vector<CampaignRow>& rows, std::string_view kind,
               const std::string& caption, const std::string& column) {
  struct Reason {
    int64_t count = 0;
    std::vector<std::string> places;
  };
  std::map<std::string, Reason> reasons;
  for (const CampaignRow& row : rows) {
    const auto found = row.counters.find(std::string(kind));
    if (found == row.counters.end()) continue;
    for (const auto& [name, count] : found->second) {
      if (name.empty()) continue;
      reasons[name].count += count;
      reasons[name].places.push_back(
          absl::StrCat(row.property, " on ", row.engine, " ", GroupedCount(count)));
    }
  }
  if (reasons.empty()) return {};
  std::vector<std::pair<int64_t, std::string>> order;
  order.reserve(reasons.size());
  for (const auto& [name, reason] : reasons) order.emplace_back(-reason.count, name);
  std::sort(order.begin(), order.end());
  HtmlTable table{
      .caption = caption, .columns = {{column}, {"cases", true}, {"where"}}, .rows = {}};
  for (const auto& [count, name] : order) {
    table.rows.push_back({name, GroupedCount(-count), absl::StrJoin(reasons[name].places, ", ")});
  }
  return table.Render();
}

struct Sums {
  int64_t cases = 0, judged = 0, near_ties = 0, unsupported = 0, known = 0, executions = 0;
};

Sums SumsOf(const CampaignData& data) {
  Sums sums;
  for (const CampaignRow& row : CampaignRows(data)) {
    sums.cases += row.sums.cases;
    sums.judged += row.judged();
    sums.near_ties += row.sums.near_ties;
    sums.unsupported += row.sums.unsupported;
    sums.known += row.sums.known;
  }
  for (const auto& [target, count] : Executions(data)) sums.executions += count;
  return sums;
}

Markup Lead(const CampaignData& data, const Sums& sums, const SmokeReport& report) {
  const auto findings = static_cast<int64_t>(data.findings.size());
  const bool vacuous = sums.judged + sums.executions == 0;
  Markup verdict = vacuous        ? Badge("bad", "nothing judged")
                   : findings > 0 ? Badge("bad", Plural(findings, "finding"))
                                  : Badge("good", "no finding");
  verdict += fmt::format(" {} of {} judged in {}", GroupedCount(sums.judged),
                         Plural(sums.cases, "case"), DurationText(report.seconds));
  if (sums.executions > 0) {
    verdict += fmt::format(", {} by fuzz targets", Plural(sums.executions, "execution"));
  }
  verdict += fmt::format("; {} near ties, {} unsupported, {} known.", GroupedCount(sums.near_ties),
                         GroupedCount(sums.unsupported), GroupedCount(sums.known));
  Markup lead = Element("p", {{"class", "lead"}}, verdict);
  lead += Element(
      "p", {{"class", "note"}},
      absl::StrCat("Engine ", report.engine, ", build ", report.build, ", seed ", report.seed,
                   report.complete ? "." : ". The last run did not end by its time."));
  Markup errors;
  for (const std::string& error : report.errors) errors += Element("li", error);
  if (!errors.empty()) lead += Element("ul", {{"class", "bad"}}, errors);
  return lead;
}

std::vector<std::pair<std::string, std::string>> Facts(const CampaignData& data, const Sums& sums,
                                                       const SmokeReport& report) {
  int64_t features = 0;
  for (const SampleRow& sample : data.samples) features = std::max(features, sample.features);
  double slope = std::nan("");
  for (const RunRow& run : data.runs) slope = std::fmax(slope, MemoryGrowthOf(data, run.id).all);
  return {{"cases", GroupedCount(sums.cases)},
          {"cases per second", NumberText(report.cases_per_second)},
          {"findings", absl::StrCat(data.findings.size())},
          {"features seen", GroupedCount(features)},
          {"near ties", PercentText(static_cast<double>(sums.near_ties) /
                                    static_cast<double>(std::max<int64_t>(sums.cases, 1)))},
          {"unsupported", PercentText(static_cast<double>(sums.unsupported) /
                                      static_cast<double>(std::max<int64_t>(sums.cases, 1)))},
          {"restarts", absl::StrCat(data.restarts.size())},
          {"memory growth", std::isfinite(slope) ? BytesText(slope) + "/h" : "–"}};
}

std::string GrowthText(const MemoryGrowth& growth) {
  if (!std::isfinite(growth.all)) return "too few samples";
  return absl::StrCat(BytesText(growth.all), "/h (", BytesText(growth.supervisor), ", ",
                      BytesText(growth.workers), ", ", BytesText(growth.engines), ")");
}

Markup RunsTable(const CampaignData& data) {
  HtmlTable table{.caption =
                      "Runs, one for each start of the supervisor. Memory growth: least "
                      "squares over the second half of the samples; in brackets that of "
                      "supervisor, workers and engines.",
                  .columns = {{"run"},
                              {"shard"},
                              {"started"},
                              {"time", true},
                              {"ended"},
                              {"memory growth"},
                              {"engines"},
                              {"versions"},
                              {"build"},
                              {"seed"},
                              {"strategy"},
                              {"jobs", true}},
                  .rows = {}};
  for (const RunRow& run : data.runs) {
    const MemoryGrowth growth = MemoryGrowthOf(data, run.id);
    table.rows.push_back({absl::StrCat(run.id), absl::StrCat(run.shard, "/", run.shards),
                          run.started, DurationText(run.seconds),
                          run.ended.empty() ? "killed, or still running" : run.ended,
                          GrowthText(growth), run.engines, run.engine_versions, run.build,
                          absl::StrCat(run.seed), run.strategy, absl::StrCat(run.jobs)});
  }
  Markup body = table.Render();
  for (const RunRow& run : data.runs) {
    if (run.narrowed.empty()) continue;
    body +=
        Paragraph(absl::StrCat("Run ", run.id, " was narrowed by what its engines do not serve: ",
                               absl::StrJoin(run.narrowed, ", "), "."));
  }
  return body;
}

Markup RestartsTable(const CampaignData& data) {
  if (data.restarts.empty()) return Paragraph("Nothing had to be started again.");
  HtmlTable table{.caption = "What had to be started again, and events",
                  .columns = {{"after"}, {"run"}, {"what"}, {"reason"}},
                  .rows = {}};
  for (const RestartRow& restart : data.restarts) {
    table.rows.push_back(
        {DurationText(restart.elapsed), absl::StrCat(restart.run), restart.what, restart.reason});
  }
  return table.Render();
}

}  // namespace

Markup CampaignFindings(const CampaignData& data) {
  if (data.findings.empty()) return Paragraph("No finding.");
  Markup body;
  for (size_t i = 0; i < data.findings.size(); ++i) {
    body += FindingDetails(data.findings[i], i < kOpenFindings);
  }
  return body;
}

Markup CampaignCases(const CampaignData& data) {
  const std::vector<CampaignRow> rows = CampaignRows(data);
  const std::map<std::string, int64_t> executions = Executions(data);
  if (rows.empty() && executions.empty()) return Paragraph("No case was run.");
  HtmlTable table{
      .caption =
          "Cases by property and engine. The bar shows, from the left: passed, near ties, "
          "unsupported (grey), set-up errors, findings, known",
      .columns = {{"property"},
                  {"engine"},
                  {"mix"},
                  {"cases", true},
                  {"judged", true},
                  {"passed", true},
                  {"near ties", true},
                  {"unsupported", true},
                  {"set-up errors", true},
                  {"findings", true},
                  {"known", true},
                  {""}},
      .rows = {}};
  for (const CampaignRow& row : rows) {
    const BatchRow& s = row.sums;
    table.rows.push_back({row.property, row.engine, MixOf(row), GroupedCount(s.cases),
                          GroupedCount(row.judged()), GroupedCount(s.passed),
                          GroupedCount(s.near_ties), GroupedCount(s.unsupported),
                          GroupedCount(s.setup_errors), GroupedCount(s.findings),
                          GroupedCount(s.known), RowRemark(row)});
  }
  Markup body = rows.empty() ? Markup() : table.Render();
  body += Reasons(rows, kUnsupportedCounter, "Unsupported, by reason", "reason");
  body += Reasons(rows, kSetupErrorCounter, "Set-up errors, by message", "message");
  body += Reasons(rows, kKnownCounter, "Known issues, by signature", "signature");
  body += Reasons(rows, kNarrowedCounter, "Narrowed to what the engine serves, by field", "field");
  if (executions.empty()) return body;
  HtmlTable targets{.caption =
                        "Inputs that libFuzzer targets executed (those without a finding all "
                        "count as passed)",
                    .columns = {{"target"}, {"executions", true}},
                    .rows = {}};
  for (const auto& [target, count] : executions) {
    targets.rows.push_back({target, GroupedCount(count)});
  }
  return body + targets.Render();
}

std::string CampaignPage(const CampaignData& data, const std::string& workdir) {
  const SmokeReport report = CampaignReport(data);
  const Sums sums = SumsOf(data);
  HtmlPage page;
  page.title = absl::StrCat("crosscheck campaign: ", report.engine);
  page.lead = Lead(data, sums, report);
  page.facts = Facts(data, sums, report);
  page.sections = {{"findings", "Findings", CampaignFindings(data)},
                   {"cases", "Cases and verdicts", CampaignCases(data)},
                   {"time", "Over time", CampaignOverTime(data)},
                   {"margins", "Error against its bound", CampaignMargins(data)},
                   {"generator", "Is the space covered?", CampaignGenerator(data)},
                   {"restarts", "Restarts", RestartsTable(data)},
                   {"runs", "Runs", RunsTable(data)}};
  page.footer = absl::StrCat("crosscheck report ", workdir);
  return page.Render();
}

}  // namespace crosscheck
