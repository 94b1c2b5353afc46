// The `crosscheck` command: parses the verb and runs it. Exit 0 clean, 1 tool or set-up error, 2
// finding.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/verb.h"

namespace crosscheck {
namespace {

// CLI11 only says that a subcommand is missing. Empty when `word` is a verb.
std::string WhyNoVerb(const CLI::App& app, const std::string& word) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_name() == word) return "";
    if (!verb->get_group().empty()) verbs.push_back(verb->get_name());
  }
  return absl::StrCat("there is no verb '", word, "'; there are: ", absl::StrJoin(verbs, ", "));
}

int Main(int argc, char** argv) {
  CLI::App app{"Proves whether an LLM inference engine computes what the model says."};
  app.name("crosscheck");
  app.require_subcommand(1);
  app.set_version_flag("--version", VersionText());
  app.set_help_flag("--help", "Show this help");
  app.get_formatter()->column_width(34);
  int exit_code = kExitClean;
  AddSmoke(app, exit_code);
  AddFuzz(app, exit_code);
  AddFuzzWorker(app, exit_code);
  AddReplay(app, exit_code);
  AddBracket(app, exit_code);
  AddMinimise(app, exit_code);
  AddShow(app, exit_code);
  AddExport(app, exit_code);
  AddGolden(app, exit_code);
  AddCompare(app, exit_code);
  AddServe(app, exit_code);
  AddCalibrate(app, exit_code);
  AddList(app, exit_code);
  AddReport(app, exit_code);
  AddDoctor(app, exit_code);
  AddDistil(app, exit_code);
  AddCoverage(app, exit_code);
  if (argc > 1 && argv[1][0] != '-') {
    const std::string wrong = WhyNoVerb(app, argv[1]);
    if (!wrong.empty()) return Fail(absl::InvalidArgumentError(wrong));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 reports --help and --version through the same exception, with exit code 0.
    return app.exit(error) == 0 ? kExitClean : kExitError;
  }
  return exit_code;
}

}  // namespace
}  // namespace crosscheck

int main(int argc, char** argv) {
  crosscheck::InstallSignalHandlers();
  return crosscheck::Main(argc, argv);
}
