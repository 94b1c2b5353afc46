// `crosscheck replay`: recorded cases against engines, as a table; exit 2 when a finding is not a
// known issue.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/case_files.h"
#include "cli/executors.h"
#include "cli/report_flags.h"
#include "cli/reports/baseline.h"
#include "cli/reports/run_report.h"
#include "cli/verb.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "fuzz/executor.h"
#include "fuzz/run_case.h"

namespace crosscheck {
namespace {

struct ReplayFlags {
  std::vector<std::string> paths;
  std::string engines, subject;
  std::string corpus = DefaultCorpusFolder();
  ReportFlags reports;
  double deadline = 10;
  int times = 1;
};

struct Row {
  std::string path, property, engine;
  Verdict verdict;
  std::vector<std::string> labels;
  int reproduced = 0;
  bool known = false;
  std::optional<FirstBad> first_bad = {};
  std::string localised = {};
};

Row ReplayOne(const CaseFile& file, const Property& property, Executor& executor, int times,
              const std::vector<KnownIssue>& known) {
  Row row;
  row.path = file.path;
  row.property = std::string(property.name);
  row.engine = executor.engine_name();
  row.labels = file.value.subject().labels(file.value);
  for (int i = 0; i < times; ++i) {
    Verdict verdict = RunCase(property, file.value, executor);
    if (i == 0) row.verdict = verdict;
    bool same = verdict.kind == row.verdict.kind && verdict.signature == row.verdict.signature;
    row.reproduced += same ? 1 : 0;
  }
  for (const KnownIssue& issue : known) {
    row.known = row.known || (row.verdict.IsFinding() &&
                              issue.Matches(row.verdict.signature, executor.engine_name(),
                                            executor.hello().value("version", ""), file.value));
  }
  if (!row.known && CanLocalise(property, file.value, row.verdict)) {
    const Localisation place = Localise(property, file.value, row.verdict, executor);
    row.first_bad = place.first_bad;
    row.localised = place.ToLine();
  }
  return row;
}

void PrintRow(const Row& row, int times) {
  std::string repeat = times > 1 ? fmt::format(" {}/{}", row.reproduced, times) : "";
  std::cout << fmt::format("{:16}{}{}  {:24} {}  {}\n",
                           kVerdictKindNames[static_cast<int>(row.verdict.kind)], repeat,
                           row.known ? " (known)" : "", row.engine, row.property, row.path);
  if (row.verdict.IsFinding() || row.verdict.kind == VerdictKind::kSetupError) {
    std::cout << fmt::format("    {}\n    {}\n", row.verdict.signature.ToString(),
                             row.verdict.message);
    if (!row.localised.empty()) std::cout << "    " << row.localised << "\n";
  }
}

nlohmann::json RowJson(const Row& row) {
  return {{"case", row.path},
          {"property", row.property},
          {"engine", row.engine},
          {"verdict", kVerdictKindNames[static_cast<int>(row.verdict.kind)]},
          {"signature", row.verdict.IsFinding() ? row.verdict.signature.ToString() : ""},
          {"known", row.known},
          {"marginal", row.verdict.marginal},
          {"reproduced", row.reproduced},
          {"first_bad", FirstBadJson(row.first_bad)},
          {"localised", row.localised},
          {"message", row.verdict.message}};
}

// Bytes are read within the limits of the first engine, for which their target was built.
absl::StatusOr<CaseFiles> ReadFiles(const ReplayFlags& flags, const std::string& first_engine,
                                    Executors& executors) {
  std::optional<TargetInputs> target;
  if (!flags.subject.empty()) {
    auto executor = executors.Get(first_engine);
    if (!executor.ok()) return executor.status();
    auto inputs = TargetInputsOf(flags.subject, **executor);
    if (!inputs.ok()) return inputs.status();
    target = *std::move(inputs);
  }
  auto files = ReadCaseFiles(flags.paths, target);
  if (files.ok() && files->unreadable > 0) {
    std::cerr << files->unreadable << " inputs of campaigns are left out: they are damaged, or "
              << "this build does not have their property or a field\n";
  }
  return files;
}

absl::StatusOr<std::vector<Row>> ReplayAll(const ReplayFlags& flags) {
  auto known = ReadKnownIssuesOf(flags.corpus);
  if (!known.ok()) return known.status();
  auto chosen = ExpandEngines(flags.engines);
  if (!chosen.ok()) return chosen.status();
  Executors executors(flags.deadline);
  auto files = ReadFiles(flags, chosen->empty() ? "lattice" : chosen->front(), executors);
  if (!files.ok()) return files.status();
  std::vector<Row> rows;
  for (const CaseFile& file : files->files) {
    std::vector<std::string> engines = *chosen;
    if (engines.empty()) engines = {file.EngineOr("")};
    for (const std::string& engine : engines) {
      auto executor = executors.Get(engine);
      if (!executor.ok()) return executor.status();
      for (const Property* property : file.properties) {
        if (InterruptFlag()) return rows;
        rows.push_back(ReplayOne(file, *property, **executor, flags.times, *known));
        if (!flags.reports.ToStdout()) PrintRow(rows.back(), flags.times);
      }
    }
  }
  return rows;
}

// A run of a case whose repetitions disagree is a finding, whatever the first verdict was.
bool IsFlaky(const Row& row, int times) { return row.reproduced != times; }

void Count(const Row& row, int times, PropertyReport& property) {
  ++property.cases;
  for (const std::string& label : row.labels) ++property.coverage[label];  // shares: at the end
  const VerdictKind kind = row.verdict.kind;
  if (kind == VerdictKind::kSetupError) {
    ++property.setup_errors;
    return;
  }
  if (kind == VerdictKind::kUnsupported) {
    ++property.unsupported[row.verdict.message];
    return;
  }
  ++property.judged;
  const bool finding = row.verdict.IsFinding() || IsFlaky(row, times);
  property.known += row.known ? 1 : 0;
  property.findings += finding && !row.known ? 1 : 0;
  property.passed += kind == VerdictKind::kPass && !finding ? 1 : 0;
  property.near_ties += kind == VerdictKind::kNearTie && !finding ? 1 : 0;
}

SmokeFinding FindingOf(const Row& row, int times) {
  const bool flaky = IsFlaky(row, times);
  return {.signature = row.verdict.signature,
          .engine = row.engine,
          .verdict = flaky ? VerdictKind::kFlaky : row.verdict.kind,
          .message = row.verdict.message,
          .case_file = row.path,
          .marginal = row.verdict.marginal,
          .failure_rate = static_cast<double>(row.reproduced) / times,
          .evaluations = times,
          .first_case = -1,
          .count = 1,
          .first_bad = row.first_bad,
          .localised = row.localised};
}

PropertyReport& PropertyNamed(const std::string& name, std::vector<PropertyReport>& properties) {
  for (PropertyReport& property : properties) {
    if (property.name == name) return property;
  }
  PropertyReport& added = properties.emplace_back();
  added.name = name;
  return added;
}

// The rows in the form that smoke reports. One finding per row: each has its own case file.
SmokeReport MakeReport(const std::vector<Row>& rows, int times, double seconds) {
  SmokeReport report;
  report.command = "replay";
  report.build = std::string(BuildId());
  std::vector<std::string> engines;
  for (const Row& row : rows) {
    if (std::find(engines.begin(), engines.end(), row.engine) == engines.end()) {
      engines.push_back(row.engine);
    }
    Count(row, times, PropertyNamed(row.property, report.properties));
    if ((row.verdict.IsFinding() || IsFlaky(row, times)) && !row.known) {
      report.findings.push_back(FindingOf(row, times));
    }
  }
  int64_t judged = 0;
  for (PropertyReport& property : report.properties) {
    for (auto& [label, share] : property.coverage) share /= static_cast<double>(property.cases);
    judged += property.judged;
    if (property.setup_errors > 0) {
      report.errors.push_back(
          absl::StrCat(property.name, ": ", property.setup_errors, " cases could not be judged"));
    }
  }
  if (judged == 0 && report.errors.empty()) {
    report.errors.emplace_back("nothing was judged: the engine serves none of the properties");
  }
  report.engine = absl::StrJoin(engines, ",");
  report.cases = static_cast<int64_t>(rows.size());
  report.seconds = seconds;
  report.cases_per_second = seconds > 0 ? static_cast<double>(report.cases) / seconds : 0;
  report.complete = !InterruptFlag();
  return report;
}

int RunReplay(const ReplayFlags& flags) {
  auto baseline = CheckReportFlags(flags.reports);
  if (!baseline.ok()) return Fail(baseline.status());
  const auto start = std::chrono::steady_clock::now();
  auto rows = ReplayAll(flags);
  if (!rows.ok()) return Fail(rows.status());
  SmokeReport report =
      MakeReport(*rows, flags.times,
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  ApplyBaseline(*baseline, report);
  nlohmann::json json = ReportJson(report);
  json["rows"] = nlohmann::json::array();
  for (const Row& row : *rows) json["rows"].push_back(RowJson(row));
  absl::Status written = WriteReports(report, json, flags.reports);
  if (!written.ok()) return Fail(written);
  if (!flags.reports.ToStdout()) {
    int64_t judged = 0, findings = 0, in_baseline = 0;
    for (const PropertyReport& property : report.properties) {
      judged += property.judged;
      findings += property.findings;
      in_baseline += property.baseline;
    }
    std::cout << fmt::format(
        "{} replayed, {} judged, {} findings that are not known{}\n", rows->size(), judged,
        findings, in_baseline > 0 ? fmt::format(", {} in the baseline", in_baseline) : "");
  }
  return ExitCodeOf(report);
}

}  // namespace

void AddReplay(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* verb = app.add_subcommand("replay", "Run recorded cases again");
  verb->add_option("paths", flags->paths,
                   "Case files, corpus.%06d of a campaign, inputs of a fuzz target (--subject), or "
                   "folders")
      ->required();
  verb->add_option(
      "--engine", flags->engines,
      "Engines, comma-separated (default: the one each file records); NAME@* is every version "
      "that is built");
  verb->add_option("--subject", flags->subject,
                   absl::StrCat(kSubjectHelp, "; it was built for the first engine"));
  verb->add_option("--times", flags->times, "Runs of each case; all must agree")
      ->check(CLI::PositiveNumber);
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--corpus", flags->corpus, "Corpus folder with known_issues.txt");
  AddReportFlags(*verb, flags->reports);
  verb->footer(
      "Examples:\n"
      "  crosscheck replay corpus/regressions\n"
      "  crosscheck replay findings/logit_closeness --engine lattice,torch --times 100\n"
      "  crosscheck replay crash-0a1b2c --subject model_run --engine lattice,torch\n"
      "  crosscheck replay corpus/regressions --sarif - --baseline last.json");
  verb->callback([flags, &exit_code] { exit_code = RunReplay(*flags); });
}

}  // namespace crosscheck
