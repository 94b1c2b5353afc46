// `crosscheck fuzz`: a campaign of worker processes over a work directory, until its time is up.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/case_files.h"
#include "cli/fuzz_display.h"
#include "cli/report_flags.h"
#include "cli/reports/baseline.h"
#include "cli/reports/campaign_memory.h"
#include "cli/reports/campaign_report.h"
#include "cli/reports/run_report.h"
#include "cli/verb.h"
#include "engines/registry.h"
#include "fuzz/campaign/supervisor.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;

struct FuzzFlags {
  std::string engines = "lattice", properties, limit, workdir = "campaign", state, shard = "0/1";
  std::string strategy = "random", targets, disk = "2G", memory = "2G", batch = "1s", slice = "30s",
              reduce = "60s";
  std::string corpus = DefaultCorpusFolder();
  ReportFlags reports;
  uint64_t seed = 1;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double deadline = 10;
  bool json_lines = false;
};

// "500M", "2G", "1T"; a number alone is bytes.
absl::StatusOr<int64_t> ParseSize(const std::string& text) {
  static constexpr std::string_view kUnits = "KMGT";
  std::string number = text;
  int shift = 0;
  if (!number.empty() && kUnits.find(number.back()) != std::string_view::npos) {
    shift = 10 * (static_cast<int>(kUnits.find(number.back())) + 1);
    number.pop_back();
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(number, &value) || value <= 0 || value > INT64_MAX >> shift) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is no size; expected a positive number with K, M, G or T"));
  }
  return value << shift;
}

absl::Status ParseShard(const std::string& text, CampaignOptions& options) {
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &options.shard) &&
      absl::SimpleAtoi(parts[1], &options.shards) && options.shard >= 0 &&
      options.shard < options.shards && options.shards <= 999'999) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--shard ", text, ": expected i/n with 0 <= i < n, for example 0/2"));
}

// Beside the binary of a build tree lies that of the `fuzz` preset; its targets are for lattice.
std::string FindTargets(const FuzzFlags& flags, const std::vector<std::string>& engines) {
  if (!flags.targets.empty() || engines != std::vector<std::string>{"lattice"}) {
    return flags.targets;
  }
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path beside = self.parent_path() / "fuzz" / "out";
  return fs::exists(beside / "model_run_fuzzer", error) ? beside.string() : "";
}

absl::Status ReadDurations(const FuzzFlags& flags, CampaignOptions& options) {
  const auto read = [](const char* flag, const std::string& text, double& value) {
    auto seconds = ParseDuration(text);
    if (seconds.ok()) value = *seconds;
    return seconds.ok() ? absl::OkStatus()
                        : absl::InvalidArgumentError(
                              absl::StrCat(flag, ": ", std::string(seconds.status().message())));
  };
  absl::Status status;
  if (!flags.limit.empty()) status.Update(read("--for", flags.limit, options.max_seconds));
  status.Update(read("--batch", flags.batch, options.batch_seconds));
  status.Update(read("--slice", flags.slice, options.slice_seconds));
  status.Update(read("--reduce", flags.reduce, options.minimise_seconds));
  return status;
}

absl::Status ReadProperties(const FuzzFlags& flags, CampaignOptions& options) {
  options.properties = SplitList(flags.properties);
  for (const std::string& name : options.properties) {
    if (FindProperty(name) != nullptr) continue;
    std::vector<std::string> known;
    for (const Property* p : Properties()) known.emplace_back(p->name);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown property '", name, "'; there are: ", absl::StrJoin(known, ", ")));
  }
  const std::string regressions = flags.corpus + "/regressions";
  if (flags.corpus.empty() || !fs::is_directory(regressions)) return absl::OkStatus();
  auto files = ListCaseFiles(regressions);
  if (!files.ok()) return files.status();
  options.regressions = *std::move(files);
  return absl::OkStatus();
}

bool UsesTargets(const FuzzFlags& flags) {
  return flags.strategy == "all" || flags.strategy == "targets";
}

absl::StatusOr<CampaignOptions> MakeOptions(const FuzzFlags& flags) {
  CampaignOptions options;
  options.workdir = flags.workdir;
  options.state_folder = flags.state.empty() ? flags.workdir + "/state" : flags.state;
  auto engines = ExpandEngines(flags.engines);
  if (!engines.ok()) return engines.status();
  options.engines = *std::move(engines);
  options.build = std::string(BuildId());
  options.seed = flags.seed;
  options.jobs = flags.jobs;
  options.interrupted = &InterruptFlag();
  options.strategy = flags.strategy;
  options.random_driver = flags.strategy != "targets";
  options.corpus_driver = flags.strategy == "corpus" || flags.strategy == "all";
  if (UsesTargets(flags)) options.targets = FindTargets(flags, options.engines);
  absl::Status status = ReadProperties(flags, options);
  status.Update(ReadDurations(flags, options));
  status.Update(ParseShard(flags.shard, options));
  auto disk = ParseSize(flags.disk);
  status.Update(disk.status());
  auto memory = ParseSize(flags.memory);
  status.Update(memory.status());
  if (!status.ok()) return status;
  options.max_disk_bytes = *disk;
  options.max_process_bytes = *memory;
  std::error_code error;
  options.worker_command = {fs::read_symlink("/proc/self/exe", error).string(), "fuzz-worker",
                            "--deadline", absl::StrCat(flags.deadline)};
  if (!flags.corpus.empty()) {
    options.worker_command.insert(options.worker_command.end(), {"--corpus", flags.corpus});
  }
  return options;
}

FuzzDisplay::Form FormOf(const FuzzFlags& flags) {
  if (flags.json_lines) return FuzzDisplay::Form::kJsonLines;
  if (flags.reports.ToStdout()) return FuzzDisplay::Form::kNothing;
  const bool screen = isatty(STDOUT_FILENO) != 0 && LiveTerminal();
  return screen ? FuzzDisplay::Form::kScreen : FuzzDisplay::Form::kLines;
}

// The tables of the whole campaign: all runs, all shards whose record lies in this state folder.
int Summarise(const FuzzFlags& flags, const CampaignOptions& options,
              const std::set<std::string>& baseline) {
  auto data = ReadCampaignFolder(options.state_folder);
  if (!data.ok()) return Fail(data.status());
  if (data->runs.empty()) return kExitError;  // it ended before it began, which is said elsewhere
  // How earlier runs ended says nothing about this one.
  for (RunRow& run : data->runs) run.ended = run.ended.starts_with("error") ? "" : run.ended;
  SmokeReport report = CampaignReport(*data);
  report.command = "fuzz";
  ApplyBaseline(baseline, report);
  if (FormOf(flags) != FuzzDisplay::Form::kNothing && !flags.json_lines) {
    std::cout << "\n";
    PrintReport(report);
    std::cout << MemoryLine(*data);
  }
  absl::Status written = WriteReports(report, CampaignJson(*data, report), flags.reports);
  if (!written.ok()) return Fail(written);
  return ExitCodeOf(report);
}

int RunFuzz(const FuzzFlags& flags) {
  auto options = MakeOptions(flags);
  if (!options.ok()) return Fail(options.status());
  if (flags.json_lines && flags.reports.ToStdout()) {
    return Fail(absl::InvalidArgumentError(
        "--json-lines writes to stdout; give --json, --junit and --sarif file names"));
  }
  auto baseline = CheckReportFlags(flags.reports);
  if (!baseline.ok()) return Fail(baseline.status());
  FuzzDisplay display(FormOf(flags));
  if (options->targets.empty() && UsesTargets(flags)) {
    display.Notice(
        "no fuzz targets (build the `fuzz` preset or give --targets): the search goes on without");
    options->random_driver = true;
  }
  const CampaignObserver observer = display.Observer();
  auto ended = RunCampaign(*options, observer);
  display.Close();
  // After an error, what was recorded before it.
  const int summary = Summarise(flags, *options, *baseline);
  return ended.ok() ? summary : Fail(ended.status());
}

void AddFlags(CLI::App& verb, FuzzFlags& flags) {
  verb.add_option("--for", flags.limit, "How long this run takes, e.g. 8h (default: until Ctrl-C)");
  verb.add_option("--jobs", flags.jobs, "Worker processes (default: one per core)")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--engine", flags.engines,
                  "Engines under test, comma-separated; NAME@* is every version that is built");
  verb.add_option("--property", flags.properties, "Properties, comma-separated (default: all)");
  verb.add_option("--workdir", flags.workdir, "Folder of the campaign (default campaign)");
  verb.add_option("--shard", flags.shard, "i/n: this supervisor of n that share --workdir");
  verb.add_option("--state", flags.state,
                  "Folder of this machine's record (default WORKDIR/state); give a local one when "
                  "--workdir is on a network");
  verb.add_option(
          "--strategy", flags.strategy,
          "random: random cases, which found most planted bugs (default); corpus: and mutated "
          "inputs that showed something new; all: and fuzz targets; targets: these alone")
      ->check(CLI::IsMember({"all", "corpus", "random", "targets"}));
  verb.add_option("--targets", flags.targets,
                  "Folder of fuzz targets that were built for this engine (default: that of the "
                  "fuzz preset, for lattice)");
  verb.add_option("--seed", flags.seed, "Seed of the random cases (default 1)");
  verb.add_option("--max-disk", flags.disk, "Stop adding inputs beyond this size (default 2G)");
  verb.add_option("--max-memory", flags.memory,
                  "Start a worker again after a batch in which it or its engine grew beyond this "
                  "size (default 2G)");
  verb.add_option("--batch", flags.batch, "Work that a kill may lose, per worker (default 1s)");
  verb.add_option("--slice", flags.slice, "Time of a fuzz target in one turn (default 30s)");
  verb.add_option("--reduce", flags.reduce, "Time for reducing one finding (default 60s)");
  verb.add_option("--deadline", flags.deadline, "Seconds per engine message (default 10)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--corpus", flags.corpus,
                  "Corpus folder: regressions run first, known issues are counted");
  verb.add_flag("--json-lines", flags.json_lines, "One JSON object per event on stdout");
  AddReportFlags(verb, flags.reports);
}

}  // namespace

void AddFuzz(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<FuzzFlags>();
  CLI::App* verb = app.add_subcommand("fuzz", "A campaign: search until the time is up, resumable");
  AddFlags(*verb, *flags);
  verb->footer(
      "Run it again with the same --workdir to go on; kill it whenever you like.\nExamples:\n"
      "  crosscheck fuzz --for 8h --workdir campaign\n"
      "  crosscheck fuzz --for 10m --engine lattice@0.4.0 --property session_protocol --jobs 1 "
      "--json summary.json\n"
      "  crosscheck fuzz --shard 1/2 --workdir /mnt/shared/campaign --state ~/campaign-state");
  verb->callback([flags, &exit_code] { exit_code = RunFuzz(*flags); });
}

}  // namespace crosscheck
