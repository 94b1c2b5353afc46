// The engines by name: family[@version][:variant], a path to a shared library, or a command line.
#ifndef CROSSCHECK_ENGINES_REGISTRY_H_
#define CROSSCHECK_ENGINES_REGISTRY_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/engine.h"

namespace crosscheck {

struct EngineName {
  // "lattice", "hf", "torch", "exact", "faulty", or the file name of a library, a program or the
  // script that an interpreter runs.
  std::string family;
  std::string version;  // "" = default
  std::string variant;  // "" = default
  std::string text;     // as given
};
absl::StatusOr<EngineName> ParseEngineName(std::string_view text);

// The command line of an engine that is a program: text with a space, a path to an executable file,
// or what follows "cmd:" (for a program on PATH without arguments). A path to a shared library is
// none, whatever its mode is. `hf` and `hf:f64` are the command lines of the adapter for
// Transformers; CROSSCHECK_PYTHON in the environment names their Python (default: python3). Runs
// through /bin/sh.
std::optional<std::string> CommandLineOf(std::string_view text);

struct EngineInfo {
  std::string name;
  std::string version;
  std::vector<std::string> extensions;
  bool available = true;
  std::string hint;  // what to install or build when it is not available
  // Of the libraries that are built, oldest first; "local" (a checkout) comes last.
  std::vector<std::string> versions = {};
};
// Every engine that a name can choose, references and faulty engines included, in a fixed order.
// Loads nothing.
std::vector<EngineInfo> ListEngines();

// Engines from a comma-separated list, in which `family@*` stands for every version that is built,
// oldest first. InvalidArgument: nothing is built that an entry could stand for. Names without `@*`
// are not looked at.
absl::StatusOr<std::vector<std::string>> ExpandEngines(std::string_view list);

// Opens an engine inside this process: the references, `faulty:` decorators, and shared libraries
// of the C ABI. Used by crosscheck-host, by contract tests and by fuzz ELFs. An unknown name, a
// missing library or another ABI version is an error that says what exists and what to do.
absl::StatusOr<std::unique_ptr<Engine>> OpenInProcess(std::string_view name);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REGISTRY_H_
