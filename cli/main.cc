// The `crosscheck` command: parses the verb and runs it. Exit 0 clean, 1 tool or set-up error, 2
// finding.
#include <iostream>

#include "cli/verb.h"

namespace crosscheck {
namespace {

int Main(int argc, char** argv) {
  CLI::App app{"Proves whether an LLM inference engine computes what the model says."};
  app.name("crosscheck");
  app.require_subcommand(1);
  app.set_version_flag("--version", VersionText());
  app.set_help_flag("--help", "Show this help");
  app.get_formatter()->column_width(34);
  int exit_code = kExitClean;
  AddSmoke(app, exit_code);
  AddReplay(app, exit_code);
  AddMinimise(app, exit_code);
  AddShow(app, exit_code);
  AddGolden(app, exit_code);
  AddCalibrate(app, exit_code);
  AddList(app, exit_code);
  AddDoctor(app, exit_code);
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
