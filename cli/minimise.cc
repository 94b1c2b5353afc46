// `crosscheck minimise`: the smallest case with the same signature, written beside the original or
// to --out.
#include "fuzz/minimise.h"

#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/case_files.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "fuzz/localise.h"

namespace crosscheck {
namespace {

struct MinimiseFlags {
  std::string path;
  std::string engine, subject;
  std::string budget = "60s";
  std::string out = "findings";
  std::string json;
  double deadline = 10;
};

// The first property that fails: a bare case does not say which one it is about.
absl::StatusOr<std::pair<const Property*, Verdict>> FindFailure(const CaseFile& file,
                                                                Executor& executor) {
  for (const Property* property : file.properties) {
    Verdict verdict = RunCase(*property, file.value, executor);
    if (verdict.kind == VerdictKind::kSetupError)
      return absl::FailedPreconditionError(verdict.message);
    if (verdict.IsFinding()) return std::make_pair(property, verdict);
  }
  return absl::NotFoundError(
      absl::StrCat(file.path, " does not fail on ", executor.engine_name(),
                   "; there is nothing to minimise. `crosscheck show` prints what it answers"));
}

void PrintProgress(const Case& c, const Verdict& verdict, int evaluations) {
  if (!LiveTerminal()) return;
  std::cerr << fmt::format("\r{} evaluations, {} bytes, {}", evaluations,
                           c.subject().print(c).size(), verdict.signature.ToString());
}

CorpusEntry MakeEntry(const Minimised& result, const std::string& engine,
                      const std::string& localised) {
  CorpusEntry entry{.value = result.smallest,
                    .signature = result.verdict.signature,
                    .engine = engine,
                    .verdict = result.flaky ? VerdictKind::kFlaky : result.verdict.kind,
                    .marginal = result.verdict.marginal,
                    .build = std::string(BuildId()),
                    .notes = {result.verdict.message}};
  if (!localised.empty()) entry.notes.push_back(localised);
  return entry;
}

int RunMinimise(const MinimiseFlags& flags) {
  auto budget = ParseDuration(flags.budget);
  if (!budget.ok()) return Fail(budget.status());
  absl::Status folder = PrepareOutputFolder(flags.out);
  if (!folder.ok()) return Fail(folder);
  auto opened = OpenCase(flags.path, flags.subject, flags.engine, flags.deadline);
  if (!opened.ok()) return Fail(opened.status());
  const CaseFile& file = opened->file;
  Executor& executor = *opened->executor;
  auto failure = FindFailure(file, executor);
  if (!failure.ok()) return Fail(failure.status());
  const auto& [property, verdict] = *failure;
  std::cout << "original, " << verdict.signature.ToString() << ":\n"
            << file.value.subject().print(file.value);
  MinimiseOptions options{
      .max_seconds = *budget, .interrupted = &InterruptFlag(), .progress = PrintProgress};
  Minimised result = Minimise(*property, file.value, verdict, executor, options);
  std::string localised;
  if (CanLocalise(*property, result.smallest, result.verdict)) {
    localised = Localise(*property, result.smallest, result.verdict, executor).ToLine();
  }
  auto path = WriteEntry(flags.out, MakeEntry(result, opened->engine, localised));
  if (!path.ok()) return Fail(path.status());
  std::cout << fmt::format(
      "\nsmallest after {} evaluations{}{}:\n{}\n{}\nwritten to {}\n", result.evaluations,
      result.complete ? "" : " (budget ended before it was proved minimal)",
      result.flaky ? fmt::format(", fails in {:.0f} % of replays", 100 * result.failure_rate) : "",
      result.smallest.subject().print(result.smallest),
      localised.empty() ? result.verdict.message : result.verdict.message + "\n" + localised,
      *path);
  nlohmann::json json = {{"schema", 1},
                         {"command", "minimise"},
                         {"case", *path},
                         {"signature", result.verdict.signature.ToString()},
                         {"evaluations", result.evaluations},
                         {"complete", result.complete},
                         {"flaky", result.flaky},
                         {"localised", localised}};
  absl::Status written = WriteJson(json, flags.json);
  return written.ok() ? kExitFinding : Fail(written);
}

}  // namespace

void AddMinimise(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<MinimiseFlags>();
  CLI::App* verb = app.add_subcommand("minimise", "Reduce a failing case, keeping its signature");
  verb->add_option("case", flags->path, "A case file, or an input of a fuzz target (--subject)")
      ->required();
  verb->add_option("--engine", flags->engine, "Engine (default: the one the file records)");
  verb->add_option("--subject", flags->subject, kSubjectHelp);
  verb->add_option("--budget", flags->budget, "Time to spend, e.g. 30s or 5m");
  verb->add_option("--deadline", flags->deadline, "Seconds per engine message")
      ->check(CLI::PositiveNumber);
  verb->add_option("--out", flags->out, "Folder for the smallest case");
  verb->add_option("--json", flags->json, "Write JSON to a file, '-' for stdout");
  verb->footer(
      "Ctrl-C keeps the smallest case so far.\nExamples:\n"
      "  crosscheck minimise "
      "findings/logit_closeness/logit_closeness.lattice.session.numeric.case\n"
      "  crosscheck minimise big.case --engine faulty:token_logit --budget 5m --out smaller\n"
      "  crosscheck minimise crash-0a1b2c --subject model_run --engine lattice");
  verb->callback([flags, &exit_code] { exit_code = RunMinimise(*flags); });
}

}  // namespace crosscheck
