#include "cli/reports/compare_json.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/reports/compare_cost.h"
#include "cli/reports/markup.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using quality::ConfigurationResult;
using quality::GateVerdict;

std::string Name(GateVerdict verdict) {
  return std::string(quality::kGateVerdictNames[static_cast<size_t>(verdict)]);
}

json Number(double value) { return std::isfinite(value) ? json(value) : json(); }

json Metrics(const ConfigurationResult& result) {
  json metrics = json::object();
  for (const auto& [name, estimate] : result.metrics) {
    metrics[name] = {{"value", Number(estimate.value)},
                     {"lower", Number(estimate.lower)},
                     {"upper", Number(estimate.upper)},
                     {"count", estimate.count},
                     {"clusters", estimate.clusters}};
  }
  return metrics;
}

json Layers(const ConfigurationResult& result) {
  json layers = json::array();
  for (const quality::LayerStage& stage : result.layers) {
    layers.push_back({{"layer", stage.layer},
                      {"stage", stage.stage},
                      {"cosine_mean", Number(stage.cosine_mean)},
                      {"cosine_q01", Number(stage.cosine_q01)},
                      {"cosine_min", Number(stage.cosine_least)},
                      {"relative_error_mean", Number(stage.relative_error_mean)},
                      {"relative_error_q99", Number(stage.relative_error_q99)},
                      {"added_error_over_bound", Number(stage.added_error_ratio)},
                      {"positions", stage.positions},
                      {"zero_norms", stage.zero_norms}});
  }
  return layers;
}

json Divergences(const ConfigurationResult& result) {
  json divergences = json::array();
  for (const quality::GreedyDivergence& d : result.divergences) {
    divergences.push_back({{"prompt", d.prompt},
                           {"index", d.index},
                           {"reference_token", d.reference_token},
                           {"candidate_token", d.candidate_token},
                           {"before", d.before},
                           {"p_reference", Number(d.p_reference)},
                           {"p_candidate", Number(d.p_candidate)},
                           {"q_reference", Number(d.q_reference)},
                           {"q_candidate", Number(d.q_candidate)},
                           {"gap", Number(d.gap)},
                           {"allowed", Number(d.allowed)},
                           {"near_tie", d.near_tie}});
  }
  return divergences;
}

json Worst(const ConfigurationResult& result) {
  json worst = json::array();
  for (const quality::WorstPosition& w : result.worst) {
    worst.push_back({{"track", w.track},
                     {"item", w.item},
                     {"position", w.position},
                     {"kl", Number(w.kl)},
                     {"reference_token", w.reference_token},
                     {"candidate_token", w.candidate_token}});
  }
  return worst;
}

json ByPosition(const ConfigurationResult& result) {
  json positions = json::array();
  for (const quality::PositionBand& at : result.kl_by_position) {
    positions.push_back({{"median", Number(at.median)},
                         {"q05", Number(at.low)},
                         {"q95", Number(at.high)},
                         {"prompts", at.prompts}});
  }
  return positions;
}

json Result(const ConfigurationResult& result) {
  json gates = json::array(), findings = json::array(), skips = json::array();
  for (const quality::GateOutcome& gate : result.gates) {
    gates.push_back({{"gate", gate.gate},
                     {"metric", gate.metric},
                     {"verdict", Name(gate.verdict)},
                     {"prompts", gate.prompts},
                     {"text", gate.text}});
  }
  for (const quality::Finding& finding : result.findings) {
    findings.push_back({{"kind", finding.kind}, {"text", finding.text}});
  }
  for (const quality::Skip& skip : result.skips) {
    skips.push_back({{"track", skip.track}, {"reason", skip.reason}});
  }
  return {{"name", result.configuration.name},
          {"engine", result.engine_text},
          {"note", result.configuration.note},
          {"verdict", Name(result.verdict())},
          {"bits_per_weight", Number(result.bits_per_weight)},
          {"weight_bytes", result.weight_bytes},
          {"echo", result.echo},
          {"metrics", Metrics(result)},
          {"kl_by_position", ByPosition(result)},
          {"first_divergence", result.first_divergence},
          {"divergences", Divergences(result)},
          {"worst", Worst(result)},
          {"layers", Layers(result)},
          {"gates", gates},
          {"findings", findings},
          {"skips", skips},
          {"seconds", result.seconds}};
}

std::string TestCase(const std::string& suite, const std::string& name, GateVerdict verdict,
                     const std::string& text) {
  const std::string begin = absl::StrCat("  <testcase classname=\"", EscapeMarkup(suite),
                                         "\" name=\"", EscapeMarkup(name), "\"");
  if (verdict == GateVerdict::kPass) return absl::StrCat(begin, "/>\n");
  const char* element = verdict == GateVerdict::kFail ? "failure" : "skipped";
  return absl::StrCat(begin, "><", element, " message=\"", EscapeMarkup(text), "\"/></testcase>\n");
}

}  // namespace

GateVerdict OverallVerdict(const quality::Comparison& comparison) {
  GateVerdict overall = GateVerdict::kPass;
  for (const ConfigurationResult& result : comparison.configurations) {
    const GateVerdict verdict = result.verdict();
    if (verdict == GateVerdict::kFail) return verdict;
    if (verdict == GateVerdict::kUndecided) overall = verdict;
  }
  return comparison.configurations.empty() ? GateVerdict::kUndecided : overall;
}

// Which files the questions came from, and how many requests are cut otherwise than they read.
json Tasks(const quality::Inputs& inputs) {
  json tasks = json::array();
  for (const quality::TaskRequests& task : inputs.tasks) {
    json files = json::array();
    for (const quality::TaskFile& file : task.task.files) {
      files.push_back({{"path", file.path}, {"rows", file.rows}, {"sha256", file.sha256}});
    }
    const quality::RequestCounts counts = quality::CountRequests(task);
    tasks.push_back({{"name", task.task.name},
                     {"shots", task.task.shots},
                     {"questions", task.task.questions.size()},
                     {"requests", task.requests.size()},
                     {"split_inside_a_token", counts.split_inside_a_token},
                     {"truncated", counts.truncated},
                     {"files", std::move(files)}});
  }
  return tasks;
}

nlohmann::json CompareJson(const quality::Comparison& comparison) {
  json configs = json::array();
  for (const ConfigurationResult& result : comparison.configurations) {
    configs.push_back(Result(result));
  }
  return {{"schema", 1},
          {"command", "compare"},
          {"build", comparison.options.build},
          {"verdict", Name(OverallVerdict(comparison))},
          {"reference", comparison.reference},
          {"model", comparison.model},
          {"tokenizer", comparison.inputs.tokenizer},
          {"prompts", comparison.inputs.prompts.size()},
          {"sequential", comparison.options.gates.sequential},
          {"prompts_sha256", comparison.inputs.prompts_sha256},
          {"text_tokens", comparison.inputs.text.size()},
          {"text_sha256", comparison.inputs.text_sha256},
          {"tasks", Tasks(comparison.inputs)},
          {"seed", comparison.options.seed},
          {"command_line", comparison.options.command},
          {"noise", Metrics(comparison.noise)},
          {"cost", CostJson(comparison.cost)},
          {"configs", configs}};
}

std::string CompareJunit(const quality::Comparison& comparison) {
  std::string cases;
  int tests = 0, failures = 0, skipped = 0;
  const auto add = [&](const std::string& suite, const std::string& name, GateVerdict verdict,
                       const std::string& text) {
    ++tests;
    failures += verdict == GateVerdict::kFail;
    skipped += verdict == GateVerdict::kUndecided;
    cases += TestCase(suite, name, verdict, text);
  };
  for (const ConfigurationResult& result : comparison.configurations) {
    for (const quality::GateOutcome& gate : result.gates) {
      add(result.configuration.name, gate.gate, gate.verdict, gate.text);
    }
    if (result.gates.empty()) {
      add(result.configuration.name, "gates", GateVerdict::kUndecided,
          "no gate names this configuration");
    }
    for (const quality::Skip& skip : result.skips) {
      add(result.configuration.name, skip.track, GateVerdict::kUndecided,
          "not measured: " + skip.reason);
    }
    for (const quality::Finding& finding : result.findings) {
      add(result.configuration.name, finding.kind, GateVerdict::kFail, finding.text);
    }
  }
  return absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"crosscheck compare\" tests=\"",
      tests, "\" failures=\"", failures, "\" skipped=\"", skipped, "\">\n", cases,
      "</testsuite>\n");
}

}  // namespace crosscheck
