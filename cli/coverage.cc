// `crosscheck coverage`: which cells of the model space a corpus covers, and which functions of an
// engine it reaches.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/case_files.h"
#include "cli/executors.h"
#include "cli/verb.h"
#include "engines/scratch_folder.h"
#include "fmt/format.h"
#include "fuzz/edge_report.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/model_coverage.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct CoverageFlags {
  std::vector<std::string> paths;
  std::string subject = "model_run", engine = "lattice", targets = "build/fuzz/out", json;
  int functions = 20;
  double deadline = 10;
};

struct Coverage {
  size_t inputs = 0;
  ModelCoverage model = {};
  std::optional<EdgeReport> edges = {};  // nothing: the fuzz targets are not built
};

nlohmann::json ToJson(const Coverage& coverage) {
  nlohmann::json json = {{"schema", 1}, {"command", "coverage"}, {"cases", coverage.inputs}};
  nlohmann::json& cells = json["model"] = nlohmann::json::array();
  for (const auto& [cell, count] : coverage.model) {
    cells.push_back({{"family", cell.family},
                     {"path", cell.counter},
                     {"length", kLengthClasses[static_cast<size_t>(cell.length)]},
                     {"requests", count}});
  }
  if (!coverage.edges) return json;
  nlohmann::json& functions = json["functions"] = nlohmann::json::array();
  for (const FunctionEdges& f : coverage.edges->functions) {
    functions.push_back({{"function", f.name}, {"edges", f.edges}, {"reached", f.reached}});
  }
  json["library"] = coverage.edges->library;
  json["inputs"] = coverage.edges->inputs;
  json["edges"] = coverage.edges->edges;
  json["reached"] = coverage.edges->reached;
  return json;
}

void PrintEdges(const EdgeReport& report, int functions) {
  std::cout << fmt::format("{}\n{} inputs reach {} of {} edges ({:.1f} %)\n\n", report.library,
                           report.inputs, report.reached, report.edges,
                           100.0 * static_cast<double>(report.reached) /
                               static_cast<double>(std::max<int64_t>(report.edges, 1)));
  std::cout << fmt::format("{:>8} {:>8}  {}\n", "reached", "edges", "module");
  for (const FunctionEdges& module : ByModule(report.functions)) {
    std::cout << fmt::format("{:>8} {:>8}  {}\n", module.reached, module.edges, module.name);
  }
  std::cout << fmt::format("\nfunctions that are entered, with most edges left:\n");
  std::vector<FunctionEdges> left = report.functions;
  std::erase_if(left,
                [](const FunctionEdges& f) { return f.reached == 0 || f.reached == f.edges; });
  std::sort(left.begin(), left.end(), [](const FunctionEdges& a, const FunctionEdges& b) {
    const int64_t of_a = a.edges - a.reached, of_b = b.edges - b.reached;
    return of_a != of_b ? of_a > of_b : a.name < b.name;
  });
  if (left.size() > static_cast<size_t>(functions)) left.resize(static_cast<size_t>(functions));
  for (const FunctionEdges& f : left) {
    std::cout << fmt::format("{:>8} {:>8}  {}\n", f.reached, f.edges, f.name);
  }
}

// The edges that the inputs of the subject reach; they go to the program as bytes.
absl::StatusOr<EdgeReport> Edges(const CoverageFlags& flags, const std::string& program,
                                 const std::vector<CaseFile>& files, const TargetInputs& target) {
  auto scratch = ScratchFolder::Create();
  if (!scratch.ok()) return scratch.status();
  const std::string folder = (*scratch)->path() + "/inputs";
  if (absl::Status made = PrepareOutputFolder(folder); !made.ok()) return made;
  int64_t count = 0;
  for (const CaseFile& file : files) {
    for (const Property* property : file.properties) {
      if (property->subject != target.subject) continue;
      absl::Status written = WriteFile(absl::StrCat(folder, "/", count++),
                                       TargetBytes(*property, file.value, target.limits));
      if (!written.ok()) return written;
    }
  }
  return ReadEdges({.program = program,
                    .subject = std::string(target.subject->name),
                    .engine = flags.engine,
                    .inputs = {folder}});
}

absl::StatusOr<Coverage> Measure(const CoverageFlags& flags, Executor& executor) {
  auto target = TargetInputsOf(flags.subject, executor);
  if (!target.ok()) return target.status();
  auto read = ReadCaseFiles(flags.paths, *target);
  if (!read.ok()) return read.status();
  if (read->files.empty()) return absl::NotFoundError("no input in what was given");
  Coverage coverage{.inputs = read->files.size()};
  for (const CaseFile& file : read->files) {
    if (InterruptFlag()) return absl::CancelledError("interrupted");
    for (const Property* property : file.properties) {
      AddModelCoverage(*property, file.value, executor, coverage.model);
    }
  }
  const std::string program = flags.targets + "/edge_coverage";
  if (!std::filesystem::exists(program)) return coverage;
  auto edges = Edges(flags, program, read->files, **target);
  if (!edges.ok()) return edges.status();
  coverage.edges = *std::move(edges);
  return coverage;
}

int RunCoverage(const CoverageFlags& flags) {
  Executors executors(flags.deadline);
  auto executor = executors.Get(flags.engine);
  if (!executor.ok()) return Fail(executor.status());
  const auto coverage = Measure(flags, **executor);
  if (!coverage.ok()) return Fail(coverage.status());
  if (flags.json != "-") {
    std::cout << fmt::format("{} inputs on {}: requests by what the engine's counters prove\n",
                             coverage->inputs, flags.engine)
              << ModelCoverageTable(coverage->model, (*executor)->limits()) << "\n";
    if (coverage->edges) {
      PrintEdges(*coverage->edges, flags.functions);
    } else {
      std::cout << fmt::format(
          "no edges of the engine: there is no {}/edge_coverage; build the fuzz targets: cmake "
          "--preset fuzz && cmake --build --preset fuzz\n",
          flags.targets);
    }
  }
  const absl::Status written = WriteJson(ToJson(*coverage), flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddCoverage(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CoverageFlags>();
  CLI::App* verb = app.add_subcommand(
      "coverage", "Which families, paths, lengths and functions of the engine inputs reach");
  verb->add_option("paths", flags->paths,
                   "Case files, corpus.%06d of campaigns, inputs of a fuzz target, or folders")
      ->required();
  verb->add_option("--subject", flags->subject,
                   absl::StrCat(kSubjectHelp, "; functions are those that its inputs reach"));
  verb->add_option("--engine", flags->engine, "The engine, of which the library has counters");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--targets", flags->targets, "Folder of the fuzz targets' build");
  verb->add_option("--functions", flags->functions, "How many functions are listed")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--json", flags->json, "Write every function as JSON to a file, '-' for stdout");
  verb->footer(
      "A request counts for a length when one of its prompts has it. Functions need the preset "
      "fuzz\n"
      "(docs/fuzzing.md). Lines of our own code: ci/coverage.\nExamples:\n"
      "  crosscheck coverage corpus\n"
      "  crosscheck coverage campaign/corpus.000000 seeds --engine lattice@0.4.0\n"
      "  crosscheck coverage corpus --subject sampler --json coverage.json");
  verb->callback([flags, &exit_code] { exit_code = RunCoverage(*flags); });
}

}  // namespace crosscheck
