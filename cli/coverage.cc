// `crosscheck coverage`: which functions of an engine a corpus reaches, and which cells of the
// model space it covers.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "fuzz/edge_report.h"

namespace crosscheck {
namespace {

struct CoverageFlags {
  std::vector<std::string> paths;
  std::string subject = "model_run", engine = "lattice", targets = "build/fuzz/out", json;
  int functions = 20;
};

nlohmann::json ToJson(const EdgeReport& report) {
  nlohmann::json functions = nlohmann::json::array();
  for (const FunctionEdges& f : report.functions) {
    functions.push_back({{"function", f.name}, {"edges", f.edges}, {"reached", f.reached}});
  }
  return {{"schema", 1},
          {"command", "coverage"},
          {"library", report.library},
          {"inputs", report.inputs},
          {"edges", report.edges},
          {"reached", report.reached},
          {"functions", std::move(functions)}};
}

void Print(const EdgeReport& report, int functions) {
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

int RunCoverage(const CoverageFlags& flags) {
  auto report = ReadEdges({.program = flags.targets + "/edge_coverage",
                           .subject = flags.subject,
                           .engine = flags.engine,
                           .inputs = flags.paths});
  if (!report.ok()) return Fail(report.status());
  if (flags.json != "-") Print(*report, flags.functions);
  const absl::Status written = WriteJson(ToJson(*report), flags.json);
  return written.ok() ? kExitClean : Fail(written);
}

}  // namespace

void AddCoverage(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CoverageFlags>();
  CLI::App* verb = app.add_subcommand(
      "coverage", "Which functions of the engine the inputs of a fuzz target reach");
  verb->add_option("paths", flags->paths, "Inputs of the subject's fuzz target, or folders of them")
      ->required();
  verb->add_option("--subject", flags->subject, "Whose bytes the inputs are");
  verb->add_option("--engine", flags->engine, "The engine, of which the library has counters");
  verb->add_option("--targets", flags->targets, "Folder of the fuzz targets' build");
  verb->add_option("--functions", flags->functions, "How many functions are listed")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--json", flags->json, "Write every function as JSON to a file, '-' for stdout");
  verb->footer(
      "Needs the preset fuzz (docs/fuzzing.md). Lines of our own code: ci/coverage.\nExamples:\n"
      "  crosscheck coverage corpus\n"
      "  crosscheck coverage corpus --subject sampler --json coverage.json");
  verb->callback([flags, &exit_code] { exit_code = RunCoverage(*flags); });
}

}  // namespace crosscheck
