// `crosscheck bracket`: recorded cases on every version of an engine; the first bad and the first
// good one.
#include "fuzz/bracket.h"

#include <iostream>
#include <memory>

#include "cli/case_files.h"
#include "cli/executors.h"
#include "cli/verb.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct BracketFlags {
  std::vector<std::string> paths;
  std::string engines = "lattice@*";
  std::string json;
  double deadline = 10;
  bool record = false;
};

std::string VersionAt(const Bracket& bracket, int index) {
  return index < 0 ? "none" : bracket.versions[index].version;
}

void Print(const CaseFile& file, const Property& property, const Bracket& bracket) {
  std::cout << fmt::format("{}, {}\n", file.path, property.name);
  for (const VersionVerdict& row : bracket.versions) {
    const bool finding = row.verdict.IsFinding();
    std::cout << fmt::format(
        "  {:24} {:8} {:14} {}\n", row.engine, kStandingNames[static_cast<int>(row.standing)],
        kVerdictKindNames[static_cast<int>(row.verdict.kind)],
        finding ? row.verdict.signature.ToString()
                : row.verdict.message.substr(0, row.verdict.message.find('\n')));
  }
  std::cout << fmt::format("  first bad {}, last bad {}, first good after it {}\n",
                           VersionAt(bracket, bracket.first_bad),
                           VersionAt(bracket, bracket.last_bad),
                           VersionAt(bracket, bracket.first_good));
}

nlohmann::json ToJson(const CaseFile& file, const Property& property, const Bracket& bracket) {
  nlohmann::json versions = nlohmann::json::array();
  for (const VersionVerdict& row : bracket.versions) {
    versions.push_back(
        {{"engine", row.engine},
         {"version", row.version},
         {"standing", kStandingNames[static_cast<int>(row.standing)]},
         {"verdict", kVerdictKindNames[static_cast<int>(row.verdict.kind)]},
         {"signature", row.verdict.IsFinding() ? row.verdict.signature.ToString() : ""},
         {"message", row.verdict.message}});
  }
  const auto version = [&bracket](int index) {
    return index < 0 ? nlohmann::json() : nlohmann::json(bracket.versions[index].version);
  };
  return {{"case", file.path},
          {"property", property.name},
          {"first_bad", version(bracket.first_bad)},
          {"last_bad", version(bracket.last_bad)},
          {"first_good", version(bracket.first_good)},
          {"versions", std::move(versions)}};
}

// Writes what was found into the header of a corpus entry.
absl::Status Record(const std::string& path, const Bracket& bracket) {
  absl::StatusOr<CorpusEntry> entry = ReadEntry(path);
  if (!entry.ok()) return entry.status();
  entry->versions = bracket.ToString();
  return WriteFile(path, PrintEntry(*entry));
}

// Exit 2: the newest version fails. Exit 1 also when no version could be judged.
absl::StatusOr<int> BracketAll(const BracketFlags& flags, nlohmann::json& json) {
  auto files = ReadCaseFiles(flags.paths);
  if (!files.ok()) return files.status();
  auto engines = ExpandEngines(flags.engines);
  if (!engines.ok()) return engines.status();
  Executors executors(flags.deadline);
  bool judged = false;
  bool newest_bad = false;
  for (const CaseFile& file : files->files) {
    for (const Property* property : file.properties) {
      if (InterruptFlag()) return absl::CancelledError("interrupted");
      auto bracket =
          BracketCase(*property, file.value, file.signature, *engines,
                      [&executors](const std::string& engine) { return executors.Get(engine); });
      if (!bracket.ok()) return bracket.status();
      if (flags.json != "-") Print(file, *property, *bracket);
      json.push_back(ToJson(file, *property, *bracket));
      newest_bad = newest_bad || bracket->versions.back().verdict.IsFinding();
      for (const VersionVerdict& row : bracket->versions) {
        judged = judged || row.standing != Standing::kUnjudged;
      }
      if (flags.record && !file.signature.property.empty()) {
        if (absl::Status written = Record(file.path, *bracket); !written.ok()) return written;
      }
    }
  }
  if (!judged) return absl::FailedPreconditionError("no version could be judged");
  return newest_bad ? kExitFinding : kExitClean;
}

int RunBracket(const BracketFlags& flags) {
  nlohmann::json json = {{"schema", 1}, {"command", "bracket"}, {"cases", nlohmann::json::array()}};
  const auto exit_code = BracketAll(flags, json["cases"]);
  if (!exit_code.ok()) return Fail(exit_code.status());
  const absl::Status written = WriteJson(json, flags.json);
  return written.ok() ? *exit_code : Fail(written);
}

}  // namespace

void AddBracket(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<BracketFlags>();
  CLI::App* verb =
      app.add_subcommand("bracket", "In which versions of an engine a case fails, and since when");
  verb->add_option("paths", flags->paths, "Case files or folders")->required();
  verb->add_option("--engine", flags->engines,
                   "Engines, comma-separated, oldest first; NAME@* is every version that is built");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_flag("--record", flags->record, "Write the versions into the header of each case file");
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Exit 0: the newest version passes; 2: it fails; 1: nothing could be judged.\nExamples:\n"
      "  crosscheck bracket corpus/history --engine 'lattice@*'\n"
      "  crosscheck bracket findings/x.case --engine lattice@0.4.0,lattice@0.4.1 --json -");
  verb->callback([flags, &exit_code] { exit_code = RunBracket(*flags); });
}

}  // namespace crosscheck
