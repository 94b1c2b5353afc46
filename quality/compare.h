// `crosscheck compare`: one reference, many configurations, the same questions to all of them.
//
// The reference answers first and its dump is kept; each configuration then answers the same items
// and keeps, for every position, how far it is from the reference. Everything is resumable: a dump
// that is complete costs nothing the second time.
#ifndef CROSSCHECK_QUALITY_COMPARE_H_
#define CROSSCHECK_QUALITY_COMPARE_H_

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/configuration.h"
#include "quality/cost.h"
#include "quality/gates.h"
#include "quality/inputs.h"
#include "quality/recorder.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Dumps that are compared as they are (compare_dumps.h).
struct RecordedDumps {
  std::string reference;  // "": the reference is asked
  std::vector<std::string> candidates;
  std::string noise;  // the reference in another precision; "": no divergence is a near tie
};

struct CompareOptions {
  RecordedDumps recorded;
  std::string model;                // checkpoint folder of the reference
  std::string reference = "torch";  // torch, exact, hf, or an engine's name
  std::vector<Configuration> configurations;
  std::string candidate_model;  // folder of a further configuration, already in the list
  std::string adapter;          // folder in PEFT's format, on both sides
  InputOptions inputs;
  std::string out;  // dumps go to its subfolder "dumps"
  // Where inputs.shuffled: greedy prompts are added until each of the sequential ones is decided.
  GateFile gates;
  int greedy_tokens = 50, forced_positions = 100;
  int layer_prompts = 4;
  int sampled_prompts = 8, sampled_seeds = 32, sampled_tokens = 8;
  int draw_positions = 16, draws = 4096;
  std::optional<LogitMode> mode;  // of the reference's dump; default: full while it fits the budget
  int top_k = 1024, tail_samples = 256;  // of mode topk
  int64_t dump_budget_bytes = int64_t{8} << 30;
  uint64_t seed = 1;
  std::string build, command;  // of this program, for the report
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(std::string_view side, std::string_view track, int64_t done, int64_t total)>
      progress;
  std::function<void(std::string_view line)> say;  // one line for a person
};

struct Comparison {
  CompareOptions options;
  Json model;  // identity
  Inputs inputs;
  std::string reference;  // the engine's name as it was asked for, e.g. torch:fp64
  LogitMode mode = LogitMode::kFull;
  ConfigurationResult noise;  // the reference in another precision: what rounding alone does
  std::optional<ConfigurationResult> without_adapter;  // the reference's own model less the adapter
  std::vector<ConfigurationResult> configurations;
  Cost cost;  // of this run: what an earlier one recorded costs nothing again
};

// What would be computed, how large and how long, without an engine: one line each.
absl::StatusOr<std::vector<std::string>> DescribeComparison(const CompareOptions& options);

// An error of one configuration is in its result; an error status is one of the set-up.
absl::StatusOr<Comparison> Compare(const CompareOptions& options);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPARE_H_
