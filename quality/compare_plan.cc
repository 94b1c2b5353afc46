#include "quality/compare_plan.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "reference/checkpoint.h"

namespace crosscheck::quality {
namespace {

constexpr int kTimedPositions = 16;

int64_t Positions(const Comparison& comparison) {
  int64_t positions = int64_t{comparison.inputs.given} * comparison.options.forced_positions +
                      static_cast<int64_t>(comparison.inputs.text.size());
  for (const TaskRequests& task : comparison.inputs.tasks) {
    for (const ChoiceRequest& request : task.requests) positions += request.scored;
  }
  return positions;
}

double GibOf(const Comparison& comparison, LogitMode mode, int vocab) {
  return static_cast<double>(Positions(comparison) * BytesPerPosition(mode, {}, vocab)) /
         (int64_t{1} << 30);
}

// Positions; an item is in memory as a whole.
int64_t LargestItem(const Comparison& comparison) {
  int64_t largest = comparison.options.forced_positions;
  for (const Window& window : comparison.inputs.windows) {
    largest = std::max(largest, window.last_target - window.first_target);
  }
  return largest;
}

LogitMode ChooseMode(const Comparison& comparison, int vocab) {
  const CompareOptions& options = comparison.options;
  if (options.mode) return *options.mode;
  const double gib = GibOf(comparison, LogitMode::kFull, vocab);
  const int64_t item = LargestItem(comparison) * BytesPerPosition(LogitMode::kFull, {}, vocab);
  const bool fits = gib * (int64_t{1} << 30) <= static_cast<double>(options.dump_budget_bytes);
  if (fits && item <= kShardBytes) return LogitMode::kFull;
  if (options.say && !fits) {
    options.say(absl::StrFormat(
        "the reference's logits take %.1f GiB, more than --dump-budget: mode topk", gib));
  } else if (options.say) {
    options.say(
        absl::StrFormat("the logits of one window of the text take %d MiB: mode topk", item >> 20));
  }
  return LogitMode::kTopK;
}

// Of the reference, by what a few steps of it take.
absl::StatusOr<double> EstimateSeconds(const Comparison& comparison) {
  const CompareOptions& options = comparison.options;
  auto side = Side::Open(
      {.engine = comparison.reference, .model = options.model, .adapter = options.adapter});
  if (!side.ok()) return side.status();
  const double before = (*side)->seconds();
  const Prompt& first = comparison.inputs.prompts[0];
  auto run = (*side)->Generate(first.ids, first.text, kTimedPositions);
  if (!run.ok()) return run.status();
  const double each = ((*side)->seconds() - before) / kTimedPositions;
  const auto greedy = static_cast<int64_t>(comparison.inputs.prompts.size()) * LongestRun(options);
  return each * static_cast<double>(Positions(comparison) + greedy);
}

// Found before anything is computed; a folder that only its engine can read is not looked at.
absl::Status CheckCandidateVocabulary(const CompareOptions& options, const ModelSpec& spec) {
  for (const Configuration& configuration : options.configurations) {
    if (configuration.model.empty()) continue;
    const auto other = ReadConfig(configuration.model);
    if (!other.ok() || other->vocab == spec.vocab) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        configuration.name, ": a vocabulary of ", other->vocab, ", the reference has ", spec.vocab,
        "; --candidate-model takes the model of ", options.model, " in another format"));
  }
  return absl::OkStatus();
}

// "1.3 GiB", "12 MiB".
std::string SizeText(double gib) {
  if (gib >= 0.1) return absl::StrFormat("%.2f GiB", gib);
  return absl::StrFormat("%.3g MiB", gib * 1024);
}

}  // namespace

std::string ReferenceEngineOf(const std::string& reference) {
  return reference == "torch" ? "torch:fp64" : reference;
}

std::string NoiseEngineOf(const std::string& reference) {
  const std::string engine = ReferenceEngineOf(reference);
  return engine == "torch:fp64" || engine == "exact" ? "torch:fp32" : "torch:fp64";
}

int LongestRun(const CompareOptions& options) {
  return std::max(options.greedy_tokens, options.forced_positions);
}

absl::Status PrepareComparison(const CompareOptions& options, Comparison& comparison,
                               ModelSpec& spec) {
  comparison.options = options;
  comparison.reference = ReferenceEngineOf(options.reference);
  auto identity = ModelIdentity(options.model);
  if (!identity.ok()) return identity.status();
  comparison.model = *std::move(identity);
  auto read = ReadConfig(options.model);
  if (!read.ok()) return read.status();
  spec = *std::move(read);
  if (absl::Status s = CheckCandidateVocabulary(options, spec); !s.ok()) return s;
  auto inputs = ReadInputs(options.inputs, options.model, spec.vocab, spec.max_positions,
                           LongestRun(options));
  if (!inputs.ok()) return inputs.status();
  comparison.inputs = *std::move(inputs);
  comparison.mode = ChooseMode(comparison, spec.vocab);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> DescribeComparison(const CompareOptions& options) {
  Comparison comparison;
  ModelSpec spec;
  if (absl::Status s = PrepareComparison(options, comparison, spec); !s.ok()) return s;
  auto seconds = EstimateSeconds(comparison);
  if (!seconds.ok()) return seconds.status();
  const Inputs& inputs = comparison.inputs;
  const int further = static_cast<int>(inputs.prompts.size()) - inputs.given;
  const std::string mode(kLogitModeNames[static_cast<size_t>(comparison.mode)]);
  std::vector<std::string> lines = {
      absl::StrFormat("reference: %s; %d prompts, %s%d further ones from the text, %d tokens of "
                      "text in %d windows",
                      comparison.reference, inputs.given,
                      inputs.order.empty() ? "" : "until each sequential gate is decided at most ",
                      further, inputs.text.size(), inputs.windows.size()),
      absl::StrFormat("positions: at most %d for each side; greedy tokens: at most %d",
                      Positions(comparison),
                      static_cast<int64_t>(inputs.prompts.size()) * options.greedy_tokens),
      absl::StrFormat("dump of the reference: mode %s, about %s; of a configuration: %s", mode,
                      SizeText(GibOf(comparison, comparison.mode, spec.vocab)),
                      SizeText(GibOf(comparison, LogitMode::kScalars, spec.vocab))),
      absl::StrFormat(
          "time: about %.0f s for the reference, from %d tokens of the first prompt; an "
          "engine's own speed is not known before it runs",
          *seconds, kTimedPositions)};
  for (const Configuration& configuration : options.configurations) {
    lines.push_back(absl::StrCat("configuration ", configuration.name, ": ", configuration.engine,
                                 configuration.note.empty() ? "" : "; ", configuration.note));
  }
  return lines;
}

}  // namespace crosscheck::quality
