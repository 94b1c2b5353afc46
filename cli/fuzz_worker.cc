// `crosscheck fuzz-worker`: what `fuzz` starts for each job; not meant for people.
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "cli/case_files.h"
#include "cli/verb.h"
#include "fuzz/campaign/worker.h"
#include "fuzz/core_affinity.h"

namespace crosscheck {
namespace {

struct FuzzWorkerFlags {
  std::string slot, corpus;
  double deadline = 10;
};

int RunFuzzWorker(const FuzzWorkerFlags& flags) {
  auto known = ReadKnownIssuesOf(flags.corpus);
  if (!known.ok()) return Fail(known.status());
  std::unique_ptr<CoreAffinity> pin;
  const std::vector<std::string> parts = absl::StrSplit(flags.slot, '/');
  size_t slot = 0, slots = 0;
  if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &slot) &&
      absl::SimpleAtoi(parts[1], &slots)) {
    pin = std::make_unique<CoreAffinity>(slot, slots);
  }
  const WorkerOptions options{.deadline_seconds = flags.deadline,
                              .known_issues = *std::move(known),
                              .interrupted = &InterruptFlag()};
  absl::Status status = RunWorker(options, 0, 1);
  return status.ok() ? kExitClean : Fail(status);
}

}  // namespace

void AddFuzzWorker(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<FuzzWorkerFlags>();
  CLI::App* verb = app.add_subcommand(
      "fuzz-worker", "Run batches that `fuzz` sends on stdin, one JSON object per line");
  verb->group("");  // not in --help
  verb->add_option("--slot", flags->slot, "i/n: worker i of n, for its core");
  verb->add_option("--corpus", flags->corpus, "Corpus folder with known_issues.txt");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message");
  verb->callback([flags, &exit_code] { exit_code = RunFuzzWorker(*flags); });
}

}  // namespace crosscheck
