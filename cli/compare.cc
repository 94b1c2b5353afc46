// `crosscheck compare`: how far each configuration of a real checkpoint is from the reference.
#include "quality/compare.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "cli/progress_line.h"
#include "cli/reports/compare_json.h"
#include "cli/reports/compare_page.h"
#include "cli/reports/compare_text.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "quality/apply_gates.h"
#include "quality/compare_dumps.h"
#include "quality/gates.h"
#include "quality/repeat_failures.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

struct CompareFlags {
  quality::CompareOptions options;
  std::string engine = "lattice", configurations = "fp32", gates, mode, scheme = "window", junit,
              summary, json;
  double dump_budget_gib = 8;
  bool dry_run = false, no_text_prompts = false, sequential = false;
};

template <class Enum, size_t N>
absl::StatusOr<Enum> FindName(const std::string_view (&names)[N], const std::string& text,
                              const std::string& flag) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  std::string known;
  for (const std::string_view name : names) absl::StrAppend(&known, " ", std::string(name));
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", text, ": there are", known));
}

// Each configuration has a dump and a row of its own.
absl::Status CheckNames(const std::vector<std::string>& names, std::set<std::string> taken) {
  for (const std::string& name : names) {
    if (taken.insert(name).second) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name,
        "' cannot be the name of a configuration, or is the name of two; NAME@ENGINE tells engines "
        "apart, and a candidate's folder gives its name"));
  }
  return absl::OkStatus();
}

// What is compared: recorded dumps, or configurations of the model.
absl::Status ReadConfigurations(CompareFlags& flags) {
  quality::CompareOptions& options = flags.options;
  std::vector<std::string> names;
  if (!options.recorded.reference.empty()) {
    for (const std::string& folder : options.recorded.candidates) {
      names.push_back(quality::DumpName(folder));
    }
    return CheckNames(names, {""});
  }
  if (options.model.empty()) {
    return absl::InvalidArgumentError(
        "no checkpoint folder: give MODEL, or --reference-dump and --candidate-dump");
  }
  for (const std::string& name : SplitList(flags.configurations)) {
    auto configuration = quality::ParseConfiguration(name, flags.engine);
    if (!configuration.ok()) return configuration.status();
    options.configurations.push_back(*std::move(configuration));
  }
  if (!options.candidate_model.empty()) {
    options.configurations.push_back(
        {.name = std::filesystem::path(options.candidate_model + "/").parent_path().filename(),
         .engine = flags.engine,
         .weight_format = "",
         .served_format = "",
         .model = options.candidate_model});
  }
  if (options.configurations.empty()) {
    return absl::InvalidArgumentError("nothing to compare: give --config or --candidate-model");
  }
  for (const quality::Configuration& configuration : options.configurations) {
    names.push_back(configuration.name);
  }
  return CheckNames(names, {"", "reference", "noise-floor", "without-adapter"});
}

absl::Status ReadFlags(CompareFlags& flags) {
  quality::CompareOptions& options = flags.options;
  if (absl::Status status = ReadConfigurations(flags); !status.ok()) return status;
  if (!flags.mode.empty()) {
    auto mode = FindName<quality::LogitMode>(quality::kLogitModeNames, flags.mode, "--mode");
    if (!mode.ok()) return mode.status();
    options.mode = *mode;
  }
  auto scheme = FindName<quality::Scheme>(quality::kSchemeNames, flags.scheme, "--scheme");
  if (!scheme.ok()) return scheme.status();
  options.inputs.windows.scheme = *scheme;
  if (std::string error = quality::PlanError(options.inputs.windows); !error.empty()) {
    return absl::InvalidArgumentError(error);
  }
  options.dump_budget_bytes = static_cast<int64_t>(flags.dump_budget_gib * (int64_t{1} << 30));
  options.inputs.seed = options.seed;
  options.build = std::string(BuildId());
  options.command = CommandLine();
  options.interrupted = &InterruptFlag();
  options.progress = [progress = std::make_shared<ProgressLine>()](auto... arguments) {
    (*progress)(arguments...);
  };
  options.say = [](std::string_view line) { std::cerr << "note: " << line << "\n"; };
  return absl::OkStatus();
}

absl::Status WritePages(const quality::Comparison& comparison, const CompareFlags& flags) {
  const std::string base = flags.options.out + "/compare";
  constexpr auto replace = nlohmann::json::error_handler_t::replace;  // an engine's last words
  const std::pair<std::string, std::string> files[] = {
      {base + ".md", CompareMarkdown(comparison)},
      {base + ".html", ComparePage(comparison)},
      {base + ".json", CompareJson(comparison).dump(1, ' ', false, replace) + "\n"},
      {flags.junit, flags.junit.empty() ? "" : CompareJunit(comparison)},
      {flags.summary, flags.summary.empty() ? "" : CompareSummary(comparison)}};
  for (const auto& [path, text] : files) {
    if (path.empty()) continue;
    if (absl::Status status = WriteFile(path, text); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<quality::GateFile> ReadGates(const std::string& path) {
  if (path.empty()) return quality::DefaultGates();
  const auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  return quality::ParseGates(*text, path);
}

int ExitCodeOf(const quality::Comparison& comparison) {
  switch (OverallVerdict(comparison)) {
    case quality::GateVerdict::kPass:
      return kExitClean;
    case quality::GateVerdict::kFail:
      return kExitFinding;
    default:
      return kExitError;  // nothing was proven
  }
}

int RunCompare(CompareFlags& flags) {
  if (absl::Status status = ReadFlags(flags); !status.ok()) return Fail(status);
  auto gates = ReadGates(flags.gates);
  if (!gates.ok()) return Fail(gates.status());
  gates->sequential = flags.sequential;
  flags.options.gates = *gates;
  flags.options.inputs.shuffled = flags.sequential;
  flags.options.inputs.prompts_wanted =
      flags.no_text_prompts ? 0 : quality::PromptsNeeded(*gates, flags.options.configurations);
  const bool recorded = !flags.options.recorded.reference.empty();
  if (flags.dry_run) {
    auto lines = recorded ? quality::DescribeDumps(flags.options)
                          : quality::DescribeComparison(flags.options);
    if (!lines.ok()) return Fail(lines.status());
    for (const std::string& line : *lines) std::cout << line << "\n";
    return kExitClean;
  }
  if (absl::Status status = PrepareOutputFolder(flags.options.out); !status.ok())
    return Fail(status);
  auto comparison =
      recorded ? quality::CompareDumps(flags.options) : quality::Compare(flags.options);
  if (!comparison.ok()) return Fail(comparison.status());
  for (quality::ConfigurationResult& result : comparison->configurations) {
    quality::ApplyGates(*gates, result, comparison->inputs);
  }
  if (absl::Status status = quality::RepeatFailures(flags.options, *comparison); !status.ok()) {
    return Fail(status);
  }
  if (absl::Status status = WritePages(*comparison, flags); !status.ok()) return Fail(status);
  absl::Status json = WriteJson(CompareJson(*comparison), flags.json);
  if (!json.ok()) return Fail(json);
  (flags.json == "-" ? std::cerr : std::cout) << CompareSummary(*comparison);
  return ExitCodeOf(*comparison);
}

void AddInputFlags(CLI::App& verb, CompareFlags& flags) {
  quality::InputOptions& inputs = flags.options.inputs;
  verb.add_option("--prompts", inputs.prompts_file, "JSON Lines (default: 100 that are built in)");
  verb.add_option("--text", inputs.text_file, "Plain text for perplexity and further prompts");
  verb.add_option("--limit", inputs.limit, "Use the first N prompts")->check(CLI::PositiveNumber);
  verb.add_option("--text-tokens", inputs.text_tokens, "Use the first N tokens of the text")
      ->check(CLI::PositiveNumber);
  verb.add_flag("--no-text-prompts", flags.no_text_prompts,
                "Add no pieces of the text to the greedy prompts, however many a gate needs");
  verb.add_option("--window", inputs.windows.length, "Tokens of a perplexity window (default 512)");
  verb.add_option("--stride", inputs.windows.stride, "Stride of the windows (default 256)");
  verb.add_option("--scheme", flags.scheme, "window, hf or llamacpp (default window)");
  verb.add_option("--step-targets", inputs.step_targets,
                  "Targets of the text that are evaluated token by token (default 256)")
      ->check(CLI::NonNegativeNumber);
  verb.add_flag("--truncate-left", inputs.truncate_left,
                "Cut prompts that do not fit the context instead of refusing them");
}

void AddTrackFlags(CLI::App& verb, CompareFlags& flags) {
  quality::CompareOptions& options = flags.options;
  verb.add_option("--greedy-tokens", options.greedy_tokens, "Tokens of a greedy run (default 50)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--positions", options.forced_positions,
                  "Positions of a prompt's continuation whose logits are compared (default 100)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--layer-prompts", options.layer_prompts,
                  "Prompts whose layers are compared (default 4)")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--sampled-prompts", options.sampled_prompts,
                  "Prompts from which tokens are drawn at temperature 0.7 (default 8)")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--sampled-seeds", options.sampled_seeds, "Runs from each of them (default 32)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--draw-positions", options.draw_positions,
                  "Positions at which each side's sampler draws from its own logits: those where "
                  "the reference is most in doubt (default 16)")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--draws", options.draws, "Draws at each of them (default 4096)")
      ->check(CLI::PositiveNumber);
  verb.add_option("--seed", options.seed, "Seed of what is drawn (default 1)");
  verb.add_option("--mode", flags.mode,
                  "What the reference's dump keeps: full, topk or scalars (default: full while it "
                  "fits --dump-budget)");
  verb.add_option("--dump-budget", flags.dump_budget_gib, "GiB of logits on disk (default 8)")
      ->check(CLI::PositiveNumber);
}

void AddDumpFlags(CLI::App& verb, CompareFlags& flags, CLI::Option* config) {
  quality::RecordedDumps& recorded = flags.options.recorded;
  CLI::Option* reference = verb.add_option(
      "--reference-dump", recorded.reference,
      "Ask nobody: compare this dump, by crosscheck or another tool (docs/dump_format.md), with …");
  CLI::Option* candidates = verb.add_option("--candidate-dump", recorded.candidates,
                                            "… this one; may be given several times")
                                ->allow_extra_args(false);
  CLI::Option* noise = verb.add_option(
      "--noise-dump", recorded.noise,
      "The reference's dump in another precision: divergences within its errors are near ties");
  reference->needs(candidates)->excludes(config);
  candidates->needs(reference);
  noise->needs(reference);
}

void AddTaskFlags(CLI::App& verb, CompareFlags& flags) {
  quality::TaskOptions& tasks = flags.options.inputs.tasks;
  verb.add_option("--mmlu", tasks.mmlu,
                  "MMLU's folder: dev/*_dev.csv and test/*_test.csv, or JSONL");
  verb.add_option("--mmlu-shots", tasks.mmlu_shots,
                  "Solved examples before a question (default 5)");
  verb.add_flag("--hendrycks", tasks.hendrycks,
                "MMLU's prompts as the original script writes them");
  verb.add_option("--hellaswag", tasks.hellaswag, "hellaswag_val.jsonl");
  verb.add_option("--arc", tasks.arc, "ARC-*-Test.jsonl");
  verb.add_option("--arc-shots", tasks.arc_shots, "Solved examples before a question (default 0)");
  verb.add_option("--arc-train", tasks.arc_train, "File of the solved examples of ARC");
  verb.add_option("--questions", tasks.limit, "The first N questions of each task")
      ->check(CLI::PositiveNumber);
}

}  // namespace

void AddCompare(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<CompareFlags>();
  flags->options.out = "compare";
  CLI::App* verb = app.add_subcommand(
      "compare", "Quality of a real checkpoint in many configurations against one reference");
  verb->add_option("model", flags->options.model,
                   "Checkpoint folder; with dumps optional, for its tokenizer");
  verb->add_option("--reference", flags->options.reference,
                   "torch, exact, hf, or an engine (default torch: fp64)");
  verb->add_option("--engine", flags->engine, "Engine of the configurations (default lattice)");
  CLI::Option* config =
      verb->add_option("--config", flags->configurations,
                       "Configurations, comma-separated: fp32, f16, int8, q8, or a weight format; "
                       "NAME@ENGINE asks another engine (default fp32)");
  verb->add_option("--candidate-model", flags->options.candidate_model,
                   "A further configuration: an already quantised checkpoint folder");
  verb->add_option("--lora", flags->options.adapter, "Adapter folder in PEFT's format");
  verb->add_option("--gates", flags->gates, "Gate file (default: built-in gates)");
  verb->add_flag("--sequential", flags->sequential,
                 "Look after every greedy prompt, in a seeded order, and add pieces of the text "
                 "until an e-value decides each greedy gate or its max_prompts is reached");
  verb->add_option("--out", flags->options.out, "Folder for dumps and reports (default compare)");
  verb->add_option("--junit", flags->junit, "Write JUnit XML to a file");
  verb->add_option("--json", flags->json, "Write the report's JSON to a file, - for stdout, too");
  verb->add_option("--summary", flags->summary, "Write at most 20 lines for a pull request");
  verb->add_flag("--dry-run", flags->dry_run, "Say what would be computed and how large it is");
  AddDumpFlags(*verb, *flags, config);
  AddInputFlags(*verb, *flags);
  AddTrackFlags(*verb, *flags);
  AddTaskFlags(*verb, *flags);
  verb->footer(
      "Exit 0 when every gate passes, 2 when one fails, 1 when one is undecided or the set-up is "
      "wrong.\nThe same command goes on where an interrupted one stopped.\nExamples:\n"
      "  crosscheck compare seeds/checkpoints/tiny-qwen35 --config fp32,f16,q8 \\\n"
      "      --prompts seeds/checkpoints/tiny-qwen35/prompts.jsonl \\\n"
      "      --text seeds/checkpoints/tiny-qwen35/heldout.txt --out report\n"
      "  crosscheck compare MODEL --config q4_sym,q4_asym,mxfp4 --engine torch --limit 20\n"
      "  crosscheck compare --reference-dump a/dumps/reference --candidate-dump their_dump");
  verb->callback([flags, &exit_code] { exit_code = RunCompare(*flags); });
}

}  // namespace crosscheck
