#include "engines/registry.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engines/faulty_engine.h"
#include "engines/library_engine.h"
#include "engines/reference_engine.h"

namespace crosscheck {
namespace {

constexpr std::string_view kProgramPrefix = "cmd:";
constexpr char kFaultPrefix[] = "faulty:";
constexpr char kPythonVariable[] = "CROSSCHECK_PYTHON";
constexpr char kOtherForms[] =
    "a path to a library, or a command line such as 'python3 adapter.py'";
// Their script names the engine better than they do.
constexpr std::string_view kInterpreters[] = {"python", "python3", "node", "ruby",
                                              "perl",   "bash",    "sh"};
constexpr char kDecorated[] = "torch";  // what a faulty engine is made of

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}
bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}
bool IsPath(std::string_view text) {
  return text.find('/') != std::string_view::npos || EndsWith(text, ".so");
}

bool IsLibraryFile(std::string_view text) {
  std::error_code error;
  return EndsWith(text, ".so") && (text.find(' ') == std::string_view::npos ||
                                   std::filesystem::is_regular_file(text, error));
}

std::string FamilyOfCommand(const std::string& command) {
  const std::vector<std::string> words = absl::StrSplit(command, ' ', absl::SkipEmpty());
  if (words.empty()) return "";
  const std::string program = std::filesystem::path(words[0]).filename().string();
  const bool interpreter = std::find(std::begin(kInterpreters), std::end(kInterpreters), program) !=
                           std::end(kInterpreters);
  const bool script = interpreter && words.size() > 1 && words[1][0] != '-';
  return script ? std::filesystem::path(words[1]).filename().string() : program;
}

// Engines that are Python programs of this repository.
struct ProgramFamily {
  std::string_view name, script;
  const char* hint;
};
constexpr ProgramFamily kPrograms[] = {
    {"hf", "engines/process/hf_transformers.py",
     "set CROSSCHECK_PYTHON to a Python that has torch, transformers and peft; ci/test-hf makes "
     "one"}};

const ProgramFamily* FindProgram(std::string_view text) {
  const std::string_view name = text.substr(0, text.find(':'));
  const auto* found = std::find_if(std::begin(kPrograms), std::end(kPrograms),
                                   [&](const ProgramFamily& f) { return f.name == name; });
  return found == std::end(kPrograms) ? nullptr : found;
}

std::string Quoted(const std::string& word) {
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

// Python, the script from the first folder above this executable that has it, and the variant.
std::optional<std::string> CommandOf(const ProgramFamily& program, std::string_view text) {
  const size_t colon = text.find(':');
  const std::string variant(colon == std::string_view::npos ? "" : text.substr(colon + 1));
  if (!std::all_of(variant.begin(), variant.end(), absl::ascii_isalnum)) return std::nullopt;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  for (auto folder = self.parent_path(); folder.has_relative_path();
       folder = folder.parent_path()) {
    const std::filesystem::path script = folder / program.script;
    if (!std::filesystem::exists(script, error)) continue;
    const char* python = std::getenv(kPythonVariable);
    return absl::StrCat(Quoted(python == nullptr ? "python3" : python), " ", Quoted(script), " ",
                        variant);
  }
  return std::nullopt;
}

// The families that are shared libraries built with this project (CROSSCHECK_ENGINES in
// CMakeLists.txt).
struct LibraryFamily {
  std::string name;
  std::string version;  // of the library without a version in its name
};

std::vector<LibraryFamily> LibraryFamilies() {
  std::vector<LibraryFamily> families;
  for (absl::string_view pin : absl::StrSplit(CROSSCHECK_LIBRARY_ENGINES, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> words = absl::StrSplit(pin, ' ');
    families.push_back({words.first, words.second});
  }
  return families;
}

const LibraryFamily* FindFamily(const std::vector<LibraryFamily>& families,
                                const std::string& name) {
  const auto found = std::find_if(families.begin(), families.end(),
                                  [&](const LibraryFamily& f) { return f.name == name; });
  return found == families.end() ? nullptr : &*found;
}

std::string LibraryFile(const LibraryFamily& family, const std::string& version) {
  const bool is_default = version.empty() || version == family.version;
  return absl::StrCat("libcrosscheck_", family.name, is_default ? "" : "_",
                      is_default ? "" : version, ".so");
}

// lib/ beside this executable or beside its folder (test programs, an installed prefix).
std::array<std::filesystem::path, 2> LibraryFolders() {
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  return {self / "lib", self.parent_path() / "lib"};
}

// "" when there is none.
std::string FindLibrary(const std::string& file) {
  std::error_code error;
  for (const std::filesystem::path& folder : LibraryFolders()) {
    if (std::filesystem::exists(folder / file, error)) return (folder / file).string();
  }
  return "";
}

// "0.11.1" as numbers; a word such as "local" stands behind all of them.
std::vector<int> VersionOrder(const std::string& version) {
  std::vector<int> numbers;
  for (absl::string_view part : absl::StrSplit(version, '.')) {
    int number = std::numeric_limits<int>::max();
    if (!absl::SimpleAtoi(part, &number)) number = std::numeric_limits<int>::max();
    numbers.push_back(number);
  }
  return numbers;
}

// Of the libraries that are built, oldest first.
std::vector<std::string> BuiltVersions(const LibraryFamily& family) {
  std::set<std::string> found;
  if (!FindLibrary(LibraryFile(family, "")).empty()) found.insert(family.version);
  const std::string start = absl::StrCat("libcrosscheck_", family.name, "_");
  for (const std::filesystem::path& folder : LibraryFolders()) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string file = entry.path().filename().string();
      if (!StartsWith(file, start) || !EndsWith(file, ".so")) continue;
      found.insert(file.substr(start.size(), file.size() - start.size() - 3));
    }
  }
  std::vector<std::string> versions(found.begin(), found.end());
  std::sort(versions.begin(), versions.end(), [](const std::string& a, const std::string& b) {
    return VersionOrder(a) < VersionOrder(b);
  });
  return versions;
}

std::string BuildHint(const std::string& family) {
  return absl::StrCat(
      "install cargo 1.93 or newer, configure again and build: cmake --build "
      "--preset release --target crosscheck_",
      family);
}

std::vector<EngineInfo> References() {
  std::vector<EngineInfo> engines;
  const std::vector<std::string> extensions = {"core",       "model/1",   "session/1",
                                               "generate/1", "sampler/1", "lora/1"};
  const auto add = [&](const std::string& family, const auto& variants) {
    engines.push_back({family, "1", extensions, true, ""});
    for (size_t i = 1; i < std::size(variants); ++i) {
      engines.push_back(
          {absl::StrCat(family, ":", std::string(variants[i])), "1", extensions, true, ""});
    }
  };
  add("exact", kExactVariantNames);
  add("torch", kTorchPrecisionNames);
  return engines;
}

absl::Status UnknownEngine(std::string_view text) {
  std::vector<std::string> names;
  for (const EngineInfo& engine : ListEngines()) {
    if (!StartsWith(engine.name, kFaultPrefix)) names.push_back(engine.name);
  }
  return absl::NotFoundError(absl::StrCat("no engine \"", std::string(text),
                                          "\"; known: ", absl::StrJoin(names, ", "), ", ",
                                          kFaultPrefix, "NAME (`crosscheck list`), ", kOtherForms));
}

absl::StatusOr<std::unique_ptr<Engine>> OpenLibraryFamily(const LibraryFamily& family,
                                                          const EngineName& name) {
  const std::string file = LibraryFile(family, name.version);
  const std::string path = FindLibrary(file);
  if (path.empty()) {
    const std::vector<std::string> built = BuiltVersions(family);
    const std::string hint =
        name.version.empty()
            ? BuildHint(name.family)
            : absl::StrCat("built versions: ", absl::StrJoin(built, ", "), "; docs/", name.family,
                           ".md tells how to build others");
    return absl::NotFoundError(
        absl::StrCat("engine ", name.text, " is not built (no lib/", file, "): ", hint));
  }
  Json options = Json::object();
  if (!name.variant.empty()) options["variant"] = name.variant;
  return OpenLibraryEngine(path, options);
}

absl::StatusOr<std::unique_ptr<Engine>> OpenReference(const EngineName& name) {
  auto opened = OpenReferenceEngine(name.family, name.variant);
  if (!opened.ok()) return UnknownEngine(name.text);
  return std::unique_ptr<Engine>(*std::move(opened));
}

}  // namespace

std::optional<std::string> CommandLineOf(std::string_view text) {
  if (const ProgramFamily* program = FindProgram(text)) return CommandOf(*program, text);
  if (StartsWith(text, kProgramPrefix)) return std::string(text.substr(kProgramPrefix.size()));
  if (IsLibraryFile(text)) return std::nullopt;
  if (text.find(' ') != std::string_view::npos) return std::string(text);
  std::error_code error;
  const bool executable = IsPath(text) && std::filesystem::is_regular_file(text, error) &&
                          access(std::string(text).c_str(), X_OK) == 0;
  return executable ? std::optional<std::string>(text) : std::nullopt;
}

absl::StatusOr<EngineName> ParseEngineName(std::string_view text) {
  EngineName name;
  name.text = text;
  const std::optional<std::string> command = CommandLineOf(text);
  if (command.has_value() && FindProgram(text) == nullptr) {
    name.family = FamilyOfCommand(*command);
    if (name.family.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("engine \"", name.text, "\": the command line is empty"));
    }
    return name;
  }
  if (IsPath(text)) {
    name.family = std::filesystem::path(text).filename().string();
    if (name.family.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(name.text, " is a folder, not a library"));
    }
    return name;
  }
  const size_t colon = text.find(':');
  const size_t at = text.substr(0, colon).find('@');
  name.family = text.substr(0, std::min(at, colon));
  if (at != std::string_view::npos) {
    name.version = text.substr(at + 1, colon == std::string_view::npos ? colon : colon - at - 1);
  }
  if (colon != std::string_view::npos) name.variant = text.substr(colon + 1);
  const bool empty_part = name.family.empty() ||
                          (at != std::string_view::npos && name.version.empty()) ||
                          (colon != std::string_view::npos && name.variant.empty());
  if (empty_part) {
    return absl::InvalidArgumentError(absl::StrCat(
        "engine \"", name.text, "\": expected family[@version][:variant], ", kOtherForms));
  }
  return name;
}

absl::StatusOr<std::vector<std::string>> ExpandEngines(std::string_view list) {
  std::vector<std::string> names;
  const std::vector<LibraryFamily> families = LibraryFamilies();
  for (absl::string_view entry :
       absl::StrSplit(absl::string_view(list.data(), list.size()), ',', absl::SkipEmpty())) {
    const std::string name(absl::StripAsciiWhitespace(entry));
    if (!EndsWith(name, "@*")) {
      names.push_back(name);
      continue;
    }
    const std::string family_name = name.substr(0, name.size() - 2);
    const LibraryFamily* family = FindFamily(families, family_name);
    if (family == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("engine \"", name, "\": ", family_name,
                                                     " has no versions that are built here"));
    }
    const std::vector<std::string> versions = BuiltVersions(*family);
    if (versions.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("engine \"", name, "\": no version is built; ", BuildHint(family_name)));
    }
    for (const std::string& version : versions) {
      names.push_back(absl::StrCat(family_name, "@", version));
    }
  }
  return names;
}

std::vector<EngineInfo> ListEngines() {
  std::vector<EngineInfo> engines;
  const std::vector<std::string> extensions = {"core",       "model/1",   "session/1",
                                               "generate/1", "sampler/1", "lora/1"};
  std::vector<std::string> of_libraries = extensions;
  of_libraries.emplace_back("tokenizer/1");
  for (const LibraryFamily& family : LibraryFamilies()) {
    const bool available = !FindLibrary(LibraryFile(family, "")).empty();
    engines.push_back({family.name, family.version, of_libraries, available,
                       available ? "" : BuildHint(family.name), BuiltVersions(family)});
  }
  for (const ProgramFamily& program : kPrograms) {
    const bool available = std::getenv(kPythonVariable) != nullptr;
    engines.push_back({std::string(program.name),
                       "",
                       {"core", "model/1", "generate/1", "lora/1"},
                       available,
                       available ? "" : program.hint});
  }
  for (EngineInfo& reference : References()) engines.push_back(std::move(reference));
  for (const std::string_view fault : FaultNames()) {
    engines.push_back({absl::StrCat("faulty:", std::string(fault)), "1", extensions, true, ""});
  }
  return engines;
}

absl::StatusOr<std::unique_ptr<Engine>> OpenInProcess(std::string_view text) {
  const absl::StatusOr<EngineName> name = ParseEngineName(text);
  if (!name.ok()) return name.status();
  if (CommandLineOf(text).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name->text, ": a program runs in its own process only"));
  }
  if (IsPath(text)) return OpenLibraryEngine(name->text, Json::object());
  const std::vector<LibraryFamily> families = LibraryFamilies();
  if (const LibraryFamily* family = FindFamily(families, name->family)) {
    return OpenLibraryFamily(*family, *name);
  }
  if (!name->version.empty()) return UnknownEngine(text);
  if (name->family != "faulty") return OpenReference(*name);
  absl::StatusOr<std::unique_ptr<Engine>> inner = OpenInProcess(kDecorated);
  if (!inner.ok()) return inner.status();
  auto faulty = MakeFaultyEngine(name->variant, *std::move(inner));
  return faulty.ok() ? std::move(faulty) : UnknownEngine(text);
}

}  // namespace crosscheck
