// `crosscheck replay`: recorded cases against engines, as a table; exit 2 when a finding is not a
// known issue.
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/case_files.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "fuzz/executor.h"
#include "fuzz/run_case.h"

namespace crosscheck {
namespace {

struct ReplayFlags {
  std::vector<std::string> paths;
  std::string engines;
  std::string corpus = DefaultCorpusFolder();
  std::string json;
  double deadline = 10;
  int times = 1;
};

struct Row {
  std::string path, property, engine;
  Verdict verdict;
  int reproduced = 0;
  bool known = false;
};

// One executor per engine name: a host process is started once for all cases.
class Executors {
 public:
  explicit Executors(double deadline) : deadline_(deadline) {}
  absl::StatusOr<Executor*> Get(const std::string& engine) {
    std::unique_ptr<Executor>& slot = executors_[engine];
    if (slot == nullptr) {
      auto made = Executor::Create({.engine = engine, .deadline_seconds = deadline_});
      if (!made.ok()) return made.status();
      slot = *std::move(made);
    }
    return slot.get();
  }

 private:
  double deadline_;
  std::map<std::string, std::unique_ptr<Executor>> executors_;
};

Row ReplayOne(const CaseFile& file, const Property& property, Executor& executor, int times,
              const std::vector<KnownIssue>& known) {
  Row row{file.path, std::string(property.name), executor.engine_name(), {}, 0, false};
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
          {"message", row.verdict.message}};
}

absl::StatusOr<std::vector<Row>> ReplayAll(const ReplayFlags& flags) {
  auto files = ReadCaseFiles(flags.paths);
  if (!files.ok()) return files.status();
  auto known = ReadKnownIssuesOf(flags.corpus);
  if (!known.ok()) return known.status();
  Executors executors(flags.deadline);
  std::vector<Row> rows;
  for (const CaseFile& file : *files) {
    std::vector<std::string> engines = SplitList(flags.engines);
    if (engines.empty()) engines = {file.engine.empty() ? "lattice" : file.engine};
    for (const std::string& engine : engines) {
      auto executor = executors.Get(engine);
      if (!executor.ok()) return executor.status();
      for (const Property* property : file.properties) {
        if (InterruptFlag()) return rows;
        rows.push_back(ReplayOne(file, *property, **executor, flags.times, *known));
        PrintRow(rows.back(), flags.times);
      }
    }
  }
  return rows;
}

int RunReplay(const ReplayFlags& flags) {
  auto rows = ReplayAll(flags);
  if (!rows.ok()) return Fail(rows.status());
  nlohmann::json json = {{"schema", 1},
                         {"command", "replay"},
                         {"build", BuildId()},
                         {"rows", nlohmann::json::array()}};
  int findings = 0;
  int judged = 0;
  bool set_up = true;
  for (const Row& row : *rows) {
    json["rows"].push_back(RowJson(row));
    bool flaky = row.reproduced != flags.times;
    findings += (row.verdict.IsFinding() || flaky) && !row.known ? 1 : 0;
    judged += row.verdict.kind != VerdictKind::kUnsupported ? 1 : 0;
    set_up = set_up && row.verdict.kind != VerdictKind::kSetupError;
  }
  json["complete"] = !InterruptFlag();
  absl::Status written = WriteJson(json, flags.json);
  if (!written.ok()) return Fail(written);
  std::cout << fmt::format("{} replayed, {} judged, {} findings that are not known\n", rows->size(),
                           judged, findings);
  if (findings > 0) return kExitFinding;
  if (judged == 0)
    return Fail(absl::FailedPreconditionError(
        "nothing was judged: the engine serves none of the properties"));
  return set_up ? kExitClean : kExitError;
}

}  // namespace

void AddReplay(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* verb = app.add_subcommand("replay", "Run recorded cases again");
  verb->add_option("paths", flags->paths, "Case files or folders")->required();
  verb->add_option("--engine", flags->engines,
                   "Engines, comma-separated (default: the one each file records)");
  verb->add_option("--times", flags->times, "Runs of each case; all must agree")
      ->check(CLI::PositiveNumber);
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--corpus", flags->corpus, "Corpus folder with known_issues.txt");
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Examples:\n"
      "  crosscheck replay corpus/regressions\n"
      "  crosscheck replay findings/logit_closeness --engine lattice,torch --times 100");
  verb->callback([flags, &exit_code] { exit_code = RunReplay(*flags); });
}

}  // namespace crosscheck
