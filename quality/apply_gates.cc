#include "quality/apply_gates.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "quality/decision.h"
#include "reference/error_bound.h"

namespace crosscheck::quality {
namespace {

constexpr std::string_view kResidual = "residual";

std::string MetricName(const Gate& gate) {
  std::string name(gate.metric.name);
  if (gate.at > 0) absl::StrAppend(&name, "_", gate.at);
  if (!gate.track.empty() && gate.track != "forced" && gate.track != "greedy") {
    absl::StrAppend(&name, "_", gate.track);
  }
  return name;
}

double LayerValue(const Gate& gate, const LayerStage& stage) {
  if (gate.metric.name == "layer_cosine_q01") return stage.cosine_q01;
  if (gate.metric.name == "layer_cosine_mean") return stage.cosine_mean;
  if (gate.metric.name == "layer_cosine_min") return stage.cosine_least;
  if (gate.metric.name == "layer_relative_error_q99") return stage.relative_error_q99;
  return stage.added_error_ratio * (kReferenceMultiplier / gate.multiplier);
}

// One number for each layer: that of its worst stage among those that the gate names.
std::vector<double> LayerValues(const Gate& gate, const std::vector<LayerStage>& stages) {
  const bool least = gate.min.has_value();  // the worst is the least
  std::map<int, double> worst;
  for (const LayerStage& stage : stages) {
    const bool named = gate.stage.empty() || stage.stage == gate.stage ||
                       (gate.stage == kResidual && stage.stage.ends_with(kResidual));
    const double value = LayerValue(gate, stage);
    if (!named || std::isnan(value)) continue;
    // What is outside the layers has no number among theirs; each stage there is one of its own.
    const int layer =
        stage.layer >= 0 ? stage.layer : -1 - static_cast<int>(&stage - stages.data());
    const auto [place, fresh] = worst.try_emplace(layer, value);
    if (!fresh)
      place->second = least ? std::min(place->second, value) : std::max(place->second, value);
  }
  std::vector<double> values;
  values.reserve(worst.size());
  for (const auto& [layer, value] : worst) values.push_back(value);
  return values;
}

std::string BoundText(const Gate& gate) {
  if (!gate.min && !gate.max) return "";
  return absl::StrCat(gate.min ? ">= " : "<= ", gate.bound());
}

Decision Undecided(std::string reason) {
  Decision decision;
  decision.reason = std::move(reason);
  return decision;
}

// Of the metric, over the gate's own number of positions where it has one.
MeanEstimate MeanOf(const Gate& gate, const Estimate& estimate, const ConfigurationResult& result) {
  if (gate.positions > 0) return EstimateMean(result.KlClusters(gate.positions));
  return {.mean = estimate.value,
          .standard_error = estimate.standard_error,
          .clusters = estimate.clusters};
}

bool IsGreedy(const Gate& gate) { return gate.metric.name.starts_with("greedy_match"); }

std::vector<bool> Successes(const Gate& gate, absl::Span<const PromptMatch> matches) {
  const bool margin_aware = gate.metric.name == "greedy_match_margin_aware";
  std::vector<bool> successes;
  successes.reserve(matches.size());
  for (const PromptMatch& match : matches) {
    successes.push_back(match.MatchesAt(gate.at, margin_aware));
  }
  return successes;
}

// The prompts that a sequential gate looks at, in its order, as far as they were run.
struct Looked {
  std::vector<bool> successes;
  bool more = false;  // there are prompts that were not run
};
Looked LookInOrder(const Gate& gate, const Inputs& inputs,
                   const std::vector<PromptMatch>& matches) {
  const std::vector<bool> successes = Successes(gate, matches);
  const auto most = static_cast<size_t>(gate.max_prompts);
  Looked looked;
  for (const int prompt : inputs.order) {
    if (most == 0 && prompt >= inputs.given) continue;
    if (most > 0 && looked.successes.size() == most) break;
    looked.more = static_cast<size_t>(prompt) >= successes.size();
    if (looked.more) break;
    looked.successes.push_back(successes[static_cast<size_t>(prompt)]);
  }
  return looked;
}

Decision DecideGreedy(const Gate& gate, const GateFile& file, const Inputs& inputs,
                      const ConfigurationResult& result) {
  const bool measured = static_cast<size_t>(gate.at) < result.first_divergence.size();
  if (!measured) return Undecided("not measured: " + MetricName(gate));
  if (!file.sequential || !IsSequential(gate) || inputs.order.empty()) {
    const std::vector<bool> successes = Successes(gate, result.matches);
    return DecideRate(gate, std::count(successes.begin(), successes.end(), true),
                      static_cast<int64_t>(successes.size()), file.confidence);
  }
  const Looked looked = LookInOrder(gate, inputs, result.matches);
  Decision decision = DecideInOrder(gate, looked.successes, file.confidence);
  absl::StrAppend(&decision.reason, " after ", decision.trials, " prompts in the seeded order");
  if (decision.outcome == Outcome::kUndecided) {
    absl::StrAppend(&decision.reason, ", all that max_prompts and the text give");
  }
  return decision;
}

Decision Decide(const Gate& gate, const GateFile& file, const Inputs& inputs,
                const ConfigurationResult& result) {
  if (IsGreedy(gate)) return DecideGreedy(gate, file, inputs, result);
  if (gate.metric.kind == MetricKind::kLayer) {
    const std::vector<double> values = LayerValues(gate, result.layers);
    if (values.empty()) return Undecided("the engine shows no such stage");
    return DecideLayers(gate, values);
  }
  const auto found = result.metrics.find(MetricName(gate));
  if (found == result.metrics.end()) return Undecided("not measured: " + MetricName(gate));
  const Estimate& estimate = found->second;
  switch (gate.metric.kind) {
    case MetricKind::kRate:
      return DecideRate(gate, estimate.count, estimate.clusters, file.confidence);
    case MetricKind::kMean:
      return DecideMean(gate, MeanOf(gate, estimate, result), file.confidence);
    default:
      return DecideValue(gate, estimate.value);
  }
}

// NAME@ENGINE is the configuration NAME.
bool Applies(const Gate& gate, const std::string& configuration) {
  return gate.AppliesTo(configuration.substr(0, configuration.find('@')));
}

GateVerdict VerdictOf(Outcome outcome, OnUndecided on_undecided) {
  if (outcome == Outcome::kPass) return GateVerdict::kPass;
  if (outcome == Outcome::kFail || on_undecided == OnUndecided::kFail) return GateVerdict::kFail;
  return on_undecided == OnUndecided::kPass ? GateVerdict::kPass : GateVerdict::kUndecided;
}

}  // namespace

void ApplyGates(const GateFile& gates, ConfigurationResult& result, const Inputs& inputs) {
  for (const Gate& gate : gates.gates) {
    const std::string& name = result.configuration.name;
    if (!Applies(gate, name)) continue;
    const Decision decision = Decide(gate, gates, inputs, result);
    result.gates.push_back({.gate = gate.name,
                            .metric = MetricName(gate),
                            .verdict = VerdictOf(decision.outcome, gates.on_undecided),
                            .text = decision.reason,
                            .bound = BoundText(gate),
                            .prompts = decision.trials});
  }
}

int PromptsNeeded(const GateFile& gates, const std::vector<Configuration>& configurations) {
  constexpr int64_t kMisses = 1;
  int64_t needed = 0;
  for (const Gate& gate : gates.gates) {
    const bool applies = std::any_of(
        configurations.begin(), configurations.end(),
        [&](const Configuration& configuration) { return Applies(gate, configuration.name); });
    if (!applies || !IsGreedy(gate) || !gate.min || *gate.min >= 1) continue;
    const bool to_the_end = gates.sequential && IsSequential(gate);
    const int64_t enough =
        to_the_end ? gate.max_prompts : TrialsToPass(*gate.min, kMisses, gates.confidence);
    needed = std::max(needed, std::min(gate.max_prompts, enough));
  }
  return static_cast<int>(needed);
}

bool NeedsMorePrompts(const GateFile& gates, const std::string& configuration, const Inputs& inputs,
                      const std::vector<PromptMatch>& matches) {
  return std::any_of(gates.gates.begin(), gates.gates.end(), [&](const Gate& gate) {
    if (!Applies(gate, configuration) || !IsGreedy(gate) || !IsSequential(gate)) return false;
    const Looked looked = LookInOrder(gate, inputs, matches);
    return looked.more &&
           DecideInOrder(gate, looked.successes, gates.confidence).outcome == Outcome::kUndecided;
  });
}

}  // namespace crosscheck::quality
