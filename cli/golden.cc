// `crosscheck golden check`: references and engines against what Hugging Face Transformers
// recorded, or against what `crosscheck golden record` did.
#include "reference/golden.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_join.h"
#include "cli/verb.h"
#include "engines/golden_engine.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "quality/check_golden.h"
#include "reference/golden_implementations.h"

namespace crosscheck {
namespace {

struct GoldenFlags {
  std::vector<std::string> folders;
  std::string engines;
  std::string model;
  std::string json;
};

void PrintGolden(const GoldenResult& result) {
  if (!result.judged()) {
    std::cout << fmt::format("{:22} skipped: {}\n", result.name,
                             result.skipped.empty() ? "" : result.skipped[0].reason);
    return;
  }
  for (const GoldenImplementationResult& implementation : result.implementations) {
    double worst = 0;
    std::string kind;
    for (const auto& [name, error] : implementation.worst) {
      if (kind.empty() || error.of_tolerance > worst) {
        worst = error.of_tolerance;
        kind = name;
      }
    }
    std::cout << fmt::format("{:22} {:30} worst {:18} {:.1e} absolute, {:.3f} of its tolerance\n",
                             result.name, implementation.name, kind,
                             implementation.worst.at(kind).absolute, worst);
  }
  std::map<std::string, std::vector<std::string>> skipped;
  for (const GoldenSkip& skip : result.skipped) skipped[skip.reason].push_back(skip.tensor);
  for (const auto& [reason, tensors] : skipped) {
    std::cout << fmt::format("{:22} skipped, {}: {}\n", result.name, reason,
                             absl::StrJoin(tensors, ", "));
  }
  for (const std::string& note : result.notes)
    std::cout << fmt::format("{:22} {}\n", result.name, note);
  for (const std::string& failure : result.failures)
    std::cout << fmt::format("{:22} FAIL {}\n", result.name, failure);
}

// The engines that were asked for; lattice when none was and it is built.
std::vector<std::string> ChooseEngines(const std::string& asked) {
  if (!asked.empty()) return SplitList(asked);
  for (const EngineInfo& engine : ListEngines()) {
    if (engine.name == "lattice" && engine.available) return {engine.name};
  }
  return {};
}

// The first engine that was asked for and judged on no golden, or "".
std::string UnjudgedEngine(const GoldenFlags& flags, const std::vector<GoldenResult>& results) {
  for (std::string& engine : SplitList(flags.engines)) {
    const bool judged = std::any_of(results.begin(), results.end(), [&](const GoldenResult& r) {
      return std::any_of(r.implementations.begin(), r.implementations.end(),
                         [&](const auto& implementation) { return implementation.name == engine; });
    });
    if (!judged) return std::move(engine);
  }
  return "";
}

int RunGoldenCheck(const GoldenFlags& flags) {
  const std::vector<std::string> engines = ChooseEngines(flags.engines);
  std::vector<GoldenImplementation> implementations = GoldenImplementations();
  for (const std::string& engine : engines) {
    implementations.push_back(EngineGoldenImplementation(engine));
  }
  std::vector<GoldenResult> results;
  size_t judged = 0;
  size_t failures = 0;
  for (const std::string& folder : flags.folders) {
    if (InterruptFlag()) break;
    if (std::filesystem::is_regular_file(folder)) {  // tests/golden/* also names the README
      std::cout << folder << ": skipped, not a folder\n";
      continue;
    }
    auto result =
        quality::IsRecordedGolden(folder)
            ? quality::CheckRecordedGolden(
                  folder, {.model = flags.model,
                           .engines = flags.engines.empty() ? std::vector<std::string>() : engines})
            : CheckGolden(folder, implementations);
    if (!result.ok()) return Fail(result.status());
    PrintGolden(*result);
    judged += result->judged() ? 1 : 0;
    failures += result->failures.size();
    results.push_back(*std::move(result));
  }
  nlohmann::json json = GoldenResultsToJson(results);
  json["schema"] = 1;
  json["command"] = "golden check";
  json["build"] = BuildId();
  absl::Status written = WriteJson(json, flags.json);
  if (!written.ok()) return Fail(written);
  std::cout << fmt::format("{} goldens, {} judged, {} failures\n", results.size(), judged,
                           failures);
  if (failures > 0) return kExitFinding;
  if (const std::string engine = UnjudgedEngine(flags, results); judged > 0 && !engine.empty()) {
    return Fail(absl::FailedPreconditionError("no golden was judged on engine " + engine +
                                              "; the skips above say why"));
  }
  if (judged > 0) return kExitClean;
  return Fail(absl::FailedPreconditionError("no golden was judged: " +
                                            (results.empty() || results[0].skipped.empty()
                                                 ? "none was read"
                                                 : results[0].skipped[0].reason)));
}

}  // namespace

void AddGolden(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<GoldenFlags>();
  CLI::App* verb = app.add_subcommand("golden", "Recorded outputs of the original implementation");
  verb->require_subcommand(1);
  CLI::App* check = verb->add_subcommand(
      "check",
      "Compare references and engines with golden folders of Transformers, or engines "
      "with what `golden record` kept");
  check->add_option("folders", flags->folders, "Golden folders")->required();
  check->add_option("--engine", flags->engines,
                    "Engines, comma-separated (default: lattice when it is built; of a recorded "
                    "golden the one that was recorded)");
  check->add_option("--model", flags->model,
                    "Checkpoint of recorded goldens (default: where it was)");
  check->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  check->footer(
      "Exit 0 when at least one golden was judged and all agree, 2 when one does not.\nExamples:\n"
      "  crosscheck golden check tests/golden/qwen35-base\n"
      "  crosscheck golden check tests/golden/qwen35-* --engine lattice,exact:fp32 --json "
      "goldens.json\n"
      "  crosscheck golden check my-golden --engine lattice@local,torch");
  check->callback([flags, &exit_code] { exit_code = RunGoldenCheck(*flags); });
  AddGoldenRecord(*verb, exit_code);
}

}  // namespace crosscheck
