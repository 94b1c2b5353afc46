// One verb of the command line: a file `cli/<verb>.cc` that defines Add<Verb>, and one line in
// main.cc.
#ifndef CROSSCHECK_CLI_VERB_H_
#define CROSSCHECK_CLI_VERB_H_

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

enum ExitCode { kExitClean = 0, kExitError = 1, kExitFinding = 2 };

// Each adds its subcommand; the callback writes the exit code.
void AddSmoke(CLI::App& app, int& exit_code);
void AddFuzz(CLI::App& app, int& exit_code);
void AddFuzzWorker(CLI::App& app, int& exit_code);
void AddReplay(CLI::App& app, int& exit_code);
void AddBracket(CLI::App& app, int& exit_code);
void AddMinimise(CLI::App& app, int& exit_code);
void AddShow(CLI::App& app, int& exit_code);
void AddExport(CLI::App& app, int& exit_code);
void AddGolden(CLI::App& app, int& exit_code);
void AddGoldenRecord(CLI::App& golden, int& exit_code);
void AddCompare(CLI::App& app, int& exit_code);
void AddServe(CLI::App& app, int& exit_code);
void AddCalibrate(CLI::App& app, int& exit_code);
void AddList(CLI::App& app, int& exit_code);
void AddReport(CLI::App& app, int& exit_code);
void AddDoctor(CLI::App& app, int& exit_code);
void AddDistil(CLI::App& app, int& exit_code);
void AddCoverage(CLI::App& app, int& exit_code);

// Prints "crosscheck: <message>" to stderr and returns kExitError.
int Fail(const absl::Status& status);

// Writes JSON to a file (atomically), to stdout for "-", nowhere for "".
absl::Status WriteJson(const nlohmann::json& json, const std::string& path);

// Creates `folder` if needed and proves with a probe file that it can be written.
absl::Status PrepareOutputFolder(const std::string& folder);

// True once SIGINT, SIGTERM or SIGHUP arrived; the second signal ends the process at once.
const std::atomic<bool>& InterruptFlag();
void InstallSignalHandlers();

// True when stdout or stderr is a terminal and NO_COLOR is unset: colour and live lines.
bool LiveTerminal();

// Comma-separated words.
std::vector<std::string> SplitList(std::string_view text);

// "90", "90s", "5m", "8h" in seconds.
absl::StatusOr<double> ParseDuration(std::string_view text);

// Build id (git commit, with "+" when the tree was changed) and library versions.
std::string_view BuildId();
std::string VersionText();

// The command as it was given, fit for a shell.
std::string CommandLine();

// The corpus folder: `--corpus` when given, else ./corpus when it exists.
std::string DefaultCorpusFolder();

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_VERB_H_
