#include "quality/repeat_failures.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/apply_gates.h"

namespace crosscheck::quality {
namespace {

// Whether prompts are a sample for it: on other prompts it might decide otherwise.
bool IsSampled(const GateFile& gates, const std::string& name) {
  return std::any_of(gates.gates.begin(), gates.gates.end(), [&](const Gate& gate) {
    return gate.name == name && gate.rule == GateRule::kInterval &&
           (gate.metric.kind == MetricKind::kRate || gate.metric.kind == MetricKind::kMean) &&
           (gate.track.empty() || gate.track == "forced" || gate.track == "greedy");
  });
}

bool Failed(const GateFile& gates, const GateOutcome& outcome) {
  return outcome.verdict == GateVerdict::kFail && IsSampled(gates, outcome.gate);
}

bool AnyFailed(const GateFile& gates, const ConfigurationResult& result) {
  return std::any_of(result.gates.begin(), result.gates.end(),
                     [&](const GateOutcome& outcome) { return Failed(gates, outcome); });
}

// The greedy and the forced track on fresh prompts.
CompareOptions Again(const CompareOptions& options, const Comparison& comparison) {
  CompareOptions again = options;
  again.out = absl::StrCat(options.out, "/repeat");
  again.candidate_model.clear();
  again.layer_prompts = again.sampled_prompts = again.draw_positions = 0;
  again.inputs.tasks = {};
  again.inputs.fresh = comparison.inputs.given;
  again.inputs.fresh_from = static_cast<int>(comparison.inputs.prompts.size());
  again.configurations.clear();
  for (const ConfigurationResult& result : comparison.configurations) {
    if (AnyFailed(options.gates, result)) again.configurations.push_back(result.configuration);
  }
  return again;
}

}  // namespace

int SampledDecisions(const GateFile& gates, const std::vector<ConfigurationResult>& results) {
  int decisions = 0;
  for (const ConfigurationResult& result : results) {
    for (const GateOutcome& outcome : result.gates) {
      decisions += outcome.verdict != GateVerdict::kUndecided && IsSampled(gates, outcome.gate);
    }
  }
  return decisions;
}

void ConfirmFailures(const GateFile& gates, const ConfigurationResult& again,
                     ConfigurationResult& result) {
  for (GateOutcome& outcome : result.gates) {
    if (!Failed(gates, outcome)) continue;
    const auto same = std::find_if(again.gates.begin(), again.gates.end(),
                                   [&](const auto& other) { return other.gate == outcome.gate; });
    const bool confirmed = same != again.gates.end() && same->verdict == GateVerdict::kFail;
    if (!confirmed) outcome.verdict = GateVerdict::kUndecided;
    absl::StrAppend(&outcome.text,
                    confirmed ? "; failed again on fresh prompts: " : "; not so on fresh prompts: ",
                    same == again.gates.end() ? "not measured" : same->text);
  }
}

absl::Status RepeatFailures(const CompareOptions& options, Comparison& comparison) {
  std::vector<ConfigurationResult>& results = comparison.configurations;
  const int decisions = SampledDecisions(options.gates, results);
  const CompareOptions again = Again(options, comparison);
  if (decisions <= kDecisionsWithoutRepeat || again.configurations.empty()) return absl::OkStatus();
  if (options.say) {
    options.say(absl::StrCat("failures among ", decisions, " decisions: once more on ",
                             again.inputs.fresh, " fresh prompts"));
  }
  absl::StatusOr<Comparison> repeated =
      absl::InvalidArgumentError("there is no text to take them from");
  if (!options.inputs.text_file.empty()) repeated = Compare(again);
  if (!repeated.ok() && !absl::IsInvalidArgument(repeated.status())) return repeated.status();
  for (ConfigurationResult& result : results) {
    if (!repeated.ok()) {
      for (GateOutcome& outcome : result.gates) {
        if (!Failed(options.gates, outcome)) continue;
        absl::StrAppend(&outcome.text, "; one of ", decisions,
                        " decisions, not repeated on fresh prompts: ",
                        std::string(repeated.status().message()));
      }
      continue;
    }
    for (ConfigurationResult& other : repeated->configurations) {
      if (other.configuration.name != result.configuration.name) continue;
      ApplyGates(options.gates, other, repeated->inputs);
      ConfirmFailures(options.gates, other, result);
    }
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
