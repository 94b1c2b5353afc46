// `crosscheck golden record`: a small folder of what an engine answers today.
#include <iostream>
#include <memory>

#include "cli/progress_line.h"
#include "cli/verb.h"
#include "fmt/format.h"
#include "quality/record_golden.h"

namespace crosscheck {
namespace {

int RunGoldenRecord(quality::RecordGoldenOptions& options) {
  options.interrupted = &InterruptFlag();
  options.progress = [line = std::make_shared<ProgressLine>()](auto... arguments) {
    (*line)(arguments...);
  };
  const auto golden = quality::RecordGolden(options);
  if (!golden.ok()) return Fail(golden.status());
  const quality::GoldenIndex& index = golden->index;
  std::cout << fmt::format("{}: {} prompts, {} positions of {}, {} bytes\n", options.folder,
                           index.prompts.size(), golden->positions, index.engine, golden->bytes);
  std::cout << fmt::format("reference error: {} from {}; the largest of ln p is {:.2g}\n",
                           index.error_engine, index.exact_engine, golden->largest_reference_error);
  if (golden->of_allowed > 1) {
    std::cout << fmt::format(
        "WARNING: {} itself is {:.3g} times as far from {} as rounding allows: what was recorded "
        "is "
        "wrong\n",
        index.engine, golden->of_allowed, index.exact_engine);
  }
  std::cout << fmt::format("crosscheck golden check {}\n", options.folder);
  return kExitClean;
}

}  // namespace

void AddGoldenRecord(CLI::App& golden, int& exit_code) {
  auto options = std::make_shared<quality::RecordGoldenOptions>();
  options->inputs.limit = 8;
  CLI::App* verb = golden.add_subcommand(
      "record", "Keep what an engine answers to a few prompts, to see later what moved");
  verb->add_option("folder", options->folder, "Folder of the golden")->required();
  verb->add_option("--model", options->model, "Checkpoint folder")->required();
  verb->add_option("--reference", options->reference,
                   "Whose answers: torch, exact, hf, or an engine (default torch: fp64)");
  verb->add_option("--prompts", options->inputs.prompts_file,
                   "JSON Lines (default: 100 that are built in)");
  verb->add_option("--limit", options->inputs.limit, "The first N prompts (default 8)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--greedy-tokens", options->greedy_tokens,
                   "Tokens of a greedy run, each a position whose logits are kept (default 50)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--seed", options->inputs.seed,
                   "Seed of the sample of unlikely tokens whose logits are kept (default 1)");
  verb->footer(
      "At most 1 MB. The reference error is what libtorch in fp32 is off by on the same prompts.\n"
      "Examples:\n"
      "  crosscheck golden record my-golden --model seeds/checkpoints/tiny-qwen35 --limit 4\n"
      "  crosscheck golden record before-update --model MODEL --reference lattice --prompts "
      "prompts.jsonl");
  verb->callback([options, &exit_code] { exit_code = RunGoldenRecord(*options); });
}

}  // namespace crosscheck
