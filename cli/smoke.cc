// `crosscheck smoke`: the fixed sequence of cases, its table, its findings as files and its JSON.
#include "fuzz/smoke.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/case_files.h"
#include "cli/report_flags.h"
#include "cli/reports/baseline.h"
#include "cli/reports/run_report.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "reference/checkpoint.h"

namespace crosscheck {
namespace {

struct SmokeFlags {
  std::string engine = "lattice";
  std::string properties;
  std::string limit;
  std::string references = "all";
  std::string out = "findings";
  std::string corpus = DefaultCorpusFolder();
  std::string model;
  ReportFlags reports;
  uint64_t seed = 1;
  int64_t cases = 45000;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double deadline = 10;
  int evaluations = 2000;
};

absl::StatusOr<std::vector<const Property*>> ChooseProperties(const std::string& names) {
  std::vector<const Property*> chosen;
  for (const std::string& name : SplitList(names)) {
    const Property* property = FindProperty(name);
    if (property == nullptr) {
      std::vector<std::string> known;
      for (const Property* p : Properties()) known.emplace_back(p->name);
      return absl::InvalidArgumentError(
          absl::StrCat("unknown property '", name, "'; there are: ", absl::StrJoin(known, ", ")));
    }
    chosen.push_back(property);
  }
  return chosen;
}

// A progress line on a terminal, at most five times a second; nothing elsewhere.
class Progress {
 public:
  void operator()(int64_t done, int64_t total, int64_t findings) {
    auto now = std::chrono::steady_clock::now();
    if (!LiveTerminal() || (done < total && now - last_ < std::chrono::milliseconds(200))) return;
    last_ = now;
    double seconds = std::chrono::duration<double>(now - start_).count();
    std::cerr << fmt::format("\r{}/{} cases, {:.0f} per second, {} findings ", done, total,
                             done / seconds, findings)
              << (done == total ? "\n" : "") << std::flush;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), last_{};
};

// What the flags name: properties, a configuration, the corpus.
absl::Status ReadInputs(const SmokeFlags& flags, SmokeOptions& options) {
  auto properties = ChooseProperties(flags.properties);
  if (!properties.ok()) return properties.status();
  options.properties = *std::move(properties);
  if (!flags.model.empty()) {
    auto architecture = ReadConfig(flags.model);
    if (!architecture.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--model ", flags.model, ": ",
                                                     std::string(architecture.status().message())));
    }
    options.architecture = *std::move(architecture);
  }
  auto known = ReadKnownIssuesOf(flags.corpus);
  if (!known.ok()) return known.status();
  options.known_issues = *std::move(known);
  const std::string regressions = flags.corpus + "/regressions";
  if (!flags.corpus.empty() && std::filesystem::is_directory(regressions)) {
    auto files = ListCaseFiles(regressions);
    if (!files.ok()) return files.status();
    options.regressions = *std::move(files);
  }
  return absl::OkStatus();
}

absl::StatusOr<SmokeOptions> MakeOptions(const SmokeFlags& flags) {
  SmokeOptions options;
  options.executor.engine = flags.engine;
  options.executor.deadline_seconds = flags.deadline;
  options.executor.references =
      flags.references == "all" ? ReferenceUse::kAll : ReferenceUse::kLazy;
  options.seed = flags.seed;
  options.cases = flags.cases;
  options.jobs = flags.jobs;
  options.out = flags.out;
  options.build = std::string(BuildId());
  options.minimise.max_evaluations = flags.evaluations;
  options.minimise.interrupted = &InterruptFlag();
  options.interrupted = &InterruptFlag();
  options.progress = [progress = std::make_shared<Progress>()](int64_t done, int64_t total,
                                                               int64_t findings) {
    (*progress)(done, total, findings);
  };
  if (!flags.limit.empty()) {
    auto seconds = ParseDuration(flags.limit);
    if (!seconds.ok()) return seconds.status();
    options.max_seconds = *seconds;
  }
  if (absl::Status status = ReadInputs(flags, options); !status.ok()) return status;
  return options;
}

int RunSmokeVerb(const SmokeFlags& flags) {
  auto options = MakeOptions(flags);
  if (!options.ok()) return Fail(options.status());
  auto baseline = CheckReportFlags(flags.reports);
  if (!baseline.ok()) return Fail(baseline.status());
  absl::Status folder = PrepareOutputFolder(flags.out);
  if (!folder.ok()) return Fail(folder);
  auto report = RunSmoke(*options);
  if (!report.ok()) return Fail(report.status());
  ApplyBaseline(*baseline, *report);
  if (!flags.reports.ToStdout()) PrintReport(*report);
  absl::Status written = WriteReports(*report, ReportJson(*report), flags.reports);
  if (!written.ok()) return Fail(written);
  return ExitCodeOf(*report);
}

}  // namespace

void AddSmoke(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<SmokeFlags>();
  CLI::App* verb =
      app.add_subcommand("smoke", "A fixed sequence of cases for each property, about a minute");
  verb->add_option("--engine", flags->engine, "Engine under test (default lattice)");
  verb->add_option("--property", flags->properties, "Properties, comma-separated (default: all)");
  verb->add_option("--seed", flags->seed, "Seed of the sequence (default 1)");
  verb->add_option("--cases", flags->cases, "Cases of all properties together (default 45000)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--for", flags->limit, "Cut the sequence after this time, e.g. 60s");
  verb->add_option("--references", flags->references,
                   "all: libtorch on every case; lazy: only where it decides")
      ->check(CLI::IsMember({"all", "lazy"}));
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message (default 10)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--jobs", flags->jobs, "Worker threads (default: one per core)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--evaluations", flags->evaluations, "Minimiser's budget for each finding")
      ->check(CLI::PositiveNumber);
  verb->add_option("--out", flags->out, "Folder for findings (default findings)");
  verb->add_option("--corpus", flags->corpus,
                   "Corpus folder: regressions run first, known issues are counted");
  verb->add_option("--model", flags->model,
                   "Folder of a checkpoint: models take the ratios of its config.json");
  AddReportFlags(*verb, flags->reports);
  verb->footer(
      "Examples:\n"
      "  crosscheck smoke --engine lattice --seed 7\n"
      "  crosscheck smoke --engine faulty:token_logit --property logit_closeness --cases 2000 "
      "--json report.json\n"
      "  crosscheck smoke --engine 'python3 adapter.py' --model ~/models/Qwen3.5-0.8B --junit "
      "junit.xml");
  verb->callback([flags, &exit_code] { exit_code = RunSmokeVerb(*flags); });
}

}  // namespace crosscheck
