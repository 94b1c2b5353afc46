// `crosscheck calibrate`: measures the errors of clean references and rewrites the table of error
// bounds.
#include "properties/calibrate.h"

#include <algorithm>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <thread>

#include "absl/strings/str_replace.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "properties/sensitivity.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct CalibrateFlags {
  uint64_t seed = 1;
  int64_t cases = CalibrateOptions{}.cases_per_bucket;
  int64_t torch_cases = CalibrateOptions{}.torch_cases_per_bucket;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::string out = "reference/error_bounds.tsv";
  std::vector<std::string> families;
  bool sensitivity = false;
  int64_t sensitivity_cases = SensitivityOptions{}.cases_per_bucket;
  std::string curve = "reference/detection_curve.tsv";
};

// Rewrites one line on a terminal; elsewhere a line for every tenth.
std::function<void(int64_t done, int64_t total)> ProgressPrinter() {
  return [printed = int64_t{0}](int64_t done, int64_t total) mutable {
    const int64_t tenth = 10 * done / total;
    if (!LiveTerminal() && tenth == printed) return;
    printed = tenth;
    std::cerr << fmt::format("{}{:.0f} % of {} cases{}", LiveTerminal() ? "\r" : "",
                             100.0 * done / total, total, LiveTerminal() ? " " : "\n")
              << std::flush;
  };
}

// The families that were named as bits of Limits; all when none was.
uint32_t FamilyBits(const std::vector<std::string>& names) {
  uint32_t bits = 0;
  for (size_t i = 0; i < std::size(kFamilyNames); ++i) {
    if (std::find(names.begin(), names.end(), kFamilyNames[i]) != names.end()) {
      bits |= uint32_t{1} << i;
    }
  }
  return names.empty() ? ~uint32_t{0} : bits;
}

// With the bounds that this program was built with.
int RunSensitivity(const CalibrateFlags& flags) {
  SensitivityOptions options;
  options.cases_per_bucket = flags.sensitivity_cases;
  options.threads = flags.jobs;
  options.provenance = {absl::StrReplaceAll(VersionText(), {{"\n", ", "}})};
  options.progress = ProgressPrinter();
  auto curve = MeasureSensitivity(options);
  if (!curve.ok()) return Fail(curve.status());
  absl::Status written = WriteFile(flags.curve, curve->Print());
  if (!written.ok()) return Fail(written);
  std::cout << fmt::format("{} rows written to {}\n", curve->rows.size(), flags.curve);
  return kExitClean;
}

int RunCalibrate(const CalibrateFlags& flags) {
  CalibrateOptions options;
  options.seed = flags.seed;
  options.cases_per_bucket = flags.cases;
  options.torch_cases_per_bucket = flags.torch_cases;
  options.threads = flags.jobs;
  options.provenance = {absl::StrReplaceAll(VersionText(), {{"\n", ", "}})};
  options.progress = ProgressPrinter();
  options.limits.families = FamilyBits(flags.families);
  auto table = Calibrate(options);
  if (!table.ok()) return Fail(table.status());
  if (!flags.families.empty()) *table = MergeFamilies(CommittedErrorBounds(), *table);
  absl::Status written = WriteFile(flags.out, table->Print());
  if (!written.ok()) return Fail(written);
  std::cout << fmt::format("{} buckets written to {}; build again to use them\n",
                           table->buckets().size(), flags.out);
  return kExitClean;
}

}  // namespace

void AddCalibrate(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CalibrateFlags>();
  CLI::App* verb = app.add_subcommand(
      "calibrate", "Measure the error bounds again (tens of minutes by default)");
  verb->add_option("--seed", flags->seed, "Seed of the cases (default 1)");
  verb->add_option("--cases", flags->cases, "Cases of each bucket")->check(CLI::PositiveNumber);
  verb->add_option("--torch-cases", flags->torch_cases, "Of these, with libtorch")
      ->check(CLI::PositiveNumber);
  verb->add_option("--jobs", flags->jobs, "Worker threads (default: one per core)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--out", flags->out, "The table (default reference/error_bounds.tsv)");
  verb->add_option("--family", flags->families,
                   "Measure only this family and keep the rows of the others (repeatable)")
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(kFamilyNames), std::end(kFamilyNames))));
  verb->add_flag("--sensitivity", flags->sensitivity,
                 "Measure instead which planted errors are found with the present bounds");
  verb->add_option("--sensitivity-cases", flags->sensitivity_cases,
                   "Cases of each bucket for --sensitivity")
      ->check(CLI::PositiveNumber);
  verb->add_option("--curve", flags->curve,
                   "Table of --sensitivity (default reference/detection_curve.tsv)");
  verb->footer(
      "Examples:\n"
      "  crosscheck calibrate\n"
      "  crosscheck calibrate --sensitivity\n"
      "  crosscheck calibrate --cases 200 --torch-cases 20 --out /tmp/bounds.tsv");
  verb->callback([flags, &exit_code] {
    exit_code = flags->sensitivity ? RunSensitivity(*flags) : RunCalibrate(*flags);
  });
}

}  // namespace crosscheck
