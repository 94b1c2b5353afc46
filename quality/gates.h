// The gate file: which metric must reach which bound for which configurations (quality.md 6,
// docs/gates.md). TOML:
//
//   format = "crosscheck-gates/1"
//   confidence = 0.95                     # one-sided, per gate
//   on_undecided = "exit-1"               # "exit-1" | "pass" | "fail"
//   gate = [
//    {name="kl100", metric="kl_mean", track="forced", positions=100, max=0.01, configs=["f16"]},
//   ]
//
// Example:
//   absl::StatusOr<GateFile> gates = ParseGates(text, "gates.toml");   // else DefaultGates()
//   for (const Gate& gate : gates->gates) if (gate.AppliesTo("q4-quarot")) …
#ifndef CROSSCHECK_QUALITY_GATES_H_
#define CROSSCHECK_QUALITY_GATES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck::quality {

// What a metric's evidence is, which decides how its limits are found (decision.h).
enum class MetricKind {
  kRate,   // successes of prompts: Clopper-Pearson
  kMean,   // mean over positions: clustered t interval
  kValue,  // a number without an interval: only rule "point" decides
  kLayer,  // a number for each layer: the share of layers that reach the bound
};
struct GateMetric {
  std::string_view name;
  MetricKind kind;
  std::string_view meaning;
};
// Every metric that a gate may name.
const std::vector<GateMetric>& GateMetrics();

enum class GateRule { kInterval, kPoint };
enum class OnUndecided { kExit1, kPass, kFail };

struct Gate {
  std::string name;
  GateMetric metric;
  std::string track;               // "" or "forced", "greedy", "text", …
  std::string stage;               // layer metrics: "" is every stage
  std::string against;             // "" or "same-weights"
  std::optional<double> min, max;  // exactly one, except for layer_added_error, which has neither
  int at = 0;                      // greedy metrics: the first `at` tokens
  int positions = 0;               // kl_mean: the first so many of the forced track; 0: all
  double share_of_layers = 0.9;    // layer metrics
  double multiplier = 2;           // `m` of layer_added_error
  int64_t max_prompts = 0;         // up to which prompts are added; 0: none are
  GateRule rule = GateRule::kInterval;
  std::vector<std::string> configs;  // glob patterns; at least one
  int line = 0;                      // in the file

  bool AppliesTo(std::string_view configuration) const;
  bool Reaches(double value) const;  // on the right side of the bound, or on it
  double bound() const { return min ? *min : max.value_or(0); }
};

struct GateFile {
  double confidence = 0.95;
  OnUndecided on_undecided = OnUndecided::kExit1;
  bool sequential = false;  // not in the file: e-values decide rates, prompt by prompt
  std::vector<Gate> gates;
};

// Errors (InvalidArgument) begin with "SOURCE:LINE:" and say what may stand there: no TOML, an
// unknown key, metric or value, a missing or double bound, two gates of one name.
absl::StatusOr<GateFile> ParseGates(std::string_view text, std::string_view source);

// The gates that hold without a file, as such a file and parsed by the same parser.
std::string_view DefaultGateText();
const GateFile& DefaultGates();

// Shell patterns with `*` and `?`.
bool MatchesGlob(std::string_view pattern, std::string_view text);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_GATES_H_
