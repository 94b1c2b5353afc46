// What every verb shares: errors, JSON output, signals, durations, the build id.
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/verb.h"
#include "crosscheck_build_info.h"
#include "engines/scratch_folder.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

std::atomic<bool> interrupted{false};

void OnSignal(int signal) {
  if (interrupted.exchange(true)) {
    RemoveAllScratchFolders();
    _exit(128 + signal);
  }
}

}  // namespace

int Fail(const absl::Status& status) {
  std::cout.flush();
  std::cerr << "crosscheck: " << std::string(status.message()) << "\n";
  return kExitError;
}

absl::Status WriteJson(const nlohmann::json& json, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  std::string text = json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (path == "-") {
    std::cout << text;
    return absl::OkStatus();
  }
  return WriteFile(path, text);
}

absl::Status PrepareOutputFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("cannot create the output folder ", folder, ": ",
                                                   error.message(),
                                                   "; choose another one with --out"));
  }
  std::string probe = absl::StrCat(folder, "/.probe-", getpid());
  absl::Status written = WriteFile(probe, "probe");
  std::filesystem::remove(probe, error);
  if (!written.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot write to the output folder ", folder,
                                                   ": ", std::string(written.message()),
                                                   "; choose another one with --out"));
  }
  return absl::OkStatus();
}

const std::atomic<bool>& InterruptFlag() { return interrupted; }

void InstallSignalHandlers() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the file size limit is an error like a full disk
}

bool LiveTerminal() { return isatty(STDERR_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

std::vector<std::string> SplitList(std::string_view text) {
  return absl::StrSplit(absl::string_view(text.data(), text.size()), ',', absl::SkipEmpty());
}

absl::StatusOr<double> ParseDuration(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(end, text.data() + text.size() - end);
  double scale = unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" || unit.empty() ? 1 : 0;
  if (error != std::errc() || scale == 0 || !(value > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(text),
        "' is no duration; expected a positive number with s, m or h, e.g. 90s or 8h"));
  }
  return value * scale;
}

std::string_view BuildId() { return kBuildId; }

std::string VersionText() { return absl::StrCat("crosscheck ", kBuildId, "\n", kLibraryVersions); }

std::string CommandLine() {
  const absl::StatusOr<std::string> bytes = ReadFile("/proc/self/cmdline");
  if (!bytes.ok()) return "crosscheck";
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@+%";
  std::vector<std::string> words = absl::StrSplit(*bytes, '\0');
  words.pop_back();  // after the last terminator
  for (std::string& word : words) {
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) continue;
    word = absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
  }
  words[0] = "crosscheck";
  return absl::StrJoin(words, " ");
}

std::string DefaultCorpusFolder() {
  return std::filesystem::is_directory("corpus") ? "corpus" : "";
}

}  // namespace crosscheck
