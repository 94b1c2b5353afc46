// `crosscheck list`: engines, properties, subjects and families; the README's tables come from
// --markdown.
#include <iostream>
#include <memory>

#include "absl/strings/str_join.h"
#include "cli/reports/history.h"
#include "cli/verb.h"
#include "engines/registry.h"
#include "fmt/format.h"
#include "properties/property.h"
#include "reference/model_spec.h"

namespace crosscheck {
namespace {

struct ListFlags {
  bool markdown = false;
  std::string history;
  std::string json;
};

nlohmann::json ListJson() {
  nlohmann::json json = {{"schema", 1},
                         {"engines", nlohmann::json::array()},
                         {"properties", nlohmann::json::array()},
                         {"subjects", nlohmann::json::array()},
                         {"families", nlohmann::json::array()}};
  for (const EngineInfo& engine : ListEngines()) {
    json["engines"].push_back({{"name", engine.name},
                               {"version", engine.version},
                               {"extensions", engine.extensions},
                               {"available", engine.available},
                               {"hint", engine.hint},
                               {"versions", engine.versions}});
  }
  for (const Property* property : Properties()) {
    json["properties"].push_back({{"name", property->name},
                                  {"subject", property->subject->name},
                                  {"needs", property->needs},
                                  {"kills", property->kills},
                                  {"benign", property->benign}});
  }
  for (const Subject* subject : Subjects()) json["subjects"].push_back(subject->name);
  for (std::string_view family : kFamilyNames) json["families"].push_back(family);
  return json;
}

std::string Words(const nlohmann::json& list) {
  return absl::StrJoin(list.get<std::vector<std::string>>(), ", ");
}

// The engines with planted faults differ in name only.
constexpr std::string_view kFaultPrefix = "faulty:";

bool HasPlantedFault(const nlohmann::json& engine) {
  return engine["name"].get_ref<const std::string&>().starts_with(kFaultPrefix);
}

std::string PlantedFaults(const nlohmann::json& json) {
  std::vector<std::string> names;
  for (const auto& e : json["engines"]) {
    if (HasPlantedFault(e)) names.push_back(e["name"].get<std::string>());
  }
  for (std::string& name : names) name.erase(0, kFaultPrefix.size());
  return absl::StrJoin(names, ", ");
}

void PrintMarkdown(const nlohmann::json& json) {
  std::cout << "| engine | version | extensions |\n|---|---|---|\n";
  for (const auto& e : json["engines"]) {
    if (HasPlantedFault(e)) continue;
    std::cout << fmt::format("| `{}` | {} | {} |\n", e["name"].get<std::string>(),
                             e["version"].get<std::string>(), Words(e["extensions"]));
  }
  std::cout << "\n`faulty:NAME` is `torch` with a planted fault. Names: " << PlantedFaults(json)
            << ".\n";
  std::cout << "\n| property | subject | needs | catches | passes |\n|---|---|---|---|---|\n";
  for (const auto& p : json["properties"]) {
    std::cout << fmt::format("| `{}` | {} | {} | {} | {} |\n", p["name"].get<std::string>(),
                             p["subject"].get<std::string>(), Words(p["needs"]), Words(p["kills"]),
                             Words(p["benign"]));
  }
  std::cout << fmt::format("\nSubjects: {}. Families: {}.\n", Words(json["subjects"]),
                           Words(json["families"]));
}

void PrintText(const nlohmann::json& json) {
  std::cout << "engines\n";
  for (const auto& e : json["engines"]) {
    if (HasPlantedFault(e)) continue;
    bool available = e["available"];
    std::cout << fmt::format(
        "  {:32} {:8} {}\n", e["name"].get<std::string>(), e["version"].get<std::string>(),
        available ? Words(e["extensions"]) : "not available: " + e["hint"].get<std::string>());
    if (e["versions"].size() > 1) {
      std::cout << fmt::format("    built versions (NAME@VERSION): {}\n", Words(e["versions"]));
    }
  }
  std::cout << "  faulty:NAME, torch with a planted fault: " << PlantedFaults(json) << "\n";
  std::cout << "properties\n";
  for (const auto& p : json["properties"]) {
    std::cout << fmt::format("  {:24} on {:10} needs [{}] catches [{}]\n",
                             p["name"].get<std::string>(), p["subject"].get<std::string>(),
                             Words(p["needs"]), Words(p["kills"]));
  }
  std::cout << "subjects   " << Words(json["subjects"]) << "\nfamilies   "
            << Words(json["families"]) << "\n";
}

}  // namespace

void AddList(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ListFlags>();
  CLI::App* verb = app.add_subcommand("list", "Engines, properties, subjects and families");
  verb->add_flag("--markdown", flags->markdown, "Tables for the README");
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->add_option("--history", flags->history,
                   "Instead: a table of the released bugs whose cases are in this folder");
  verb->footer(
      "Examples:\n  crosscheck list\n  crosscheck list --json -\n"
      "  crosscheck list --history corpus/history");
  verb->callback([flags, &exit_code] {
    if (!flags->history.empty()) {
      const auto table = HistoryMarkdown(flags->history);
      if (table.ok()) std::cout << *table;
      exit_code = table.ok() ? kExitClean : Fail(table.status());
      return;
    }
    nlohmann::json json = ListJson();
    if (flags->markdown) {
      PrintMarkdown(json);
    } else if (flags->json != "-") {
      PrintText(json);
    }
    absl::Status written = WriteJson(json, flags->json);
    exit_code = written.ok() ? kExitClean : Fail(written);
  });
}

}  // namespace crosscheck
