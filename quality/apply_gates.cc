#include "quality/apply_gates.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "quality/decision.h"

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
  return stage.added_error_ratio;
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

Decision Undecided(std::string reason) {
  Decision decision;
  decision.reason = std::move(reason);
  return decision;
}

Decision Decide(const Gate& gate, const GateFile& file, const ConfigurationResult& result) {
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
      return DecideMean(gate,
                        {.mean = estimate.value,
                         .standard_error = estimate.standard_error,
                         .clusters = estimate.clusters},
                        file.confidence);
    default:
      return DecideValue(gate, estimate.value);
  }
}

GateVerdict VerdictOf(Outcome outcome, OnUndecided on_undecided) {
  if (outcome == Outcome::kPass) return GateVerdict::kPass;
  if (outcome == Outcome::kFail || on_undecided == OnUndecided::kFail) return GateVerdict::kFail;
  return on_undecided == OnUndecided::kPass ? GateVerdict::kPass : GateVerdict::kUndecided;
}

}  // namespace

void ApplyGates(const GateFile& gates, ConfigurationResult& result) {
  for (const Gate& gate : gates.gates) {
    const std::string& name = result.configuration.name;
    if (!gate.AppliesTo(name.substr(0, name.find('@')))) continue;
    const Decision decision = Decide(gate, gates, result);
    result.gates.push_back({.gate = gate.name,
                            .metric = MetricName(gate),
                            .verdict = VerdictOf(decision.outcome, gates.on_undecided),
                            .text = decision.reason});
  }
}

int PromptsNeeded(const GateFile& gates, const std::vector<Configuration>& configurations) {
  constexpr int64_t kMisses = 1;
  int64_t needed = 0;
  for (const Gate& gate : gates.gates) {
    const bool applies = std::any_of(
        configurations.begin(), configurations.end(), [&](const Configuration& configuration) {
          return gate.AppliesTo(configuration.name.substr(0, configuration.name.find('@')));
        });
    if (!applies || gate.metric.kind != MetricKind::kRate || !gate.min || *gate.min >= 1) continue;
    needed = std::max(
        needed, std::min(gate.max_prompts, TrialsToPass(*gate.min, kMisses, gates.confidence)));
  }
  return static_cast<int>(needed);
}

}  // namespace crosscheck::quality
