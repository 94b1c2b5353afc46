#include "cli/reports/compare_text.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/reports/compare_cells.h"
#include "cli/reports/compare_cost.h"
#include "cli/reports/compare_json.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

using quality::ConfigurationResult;
using quality::Estimate;
using quality::GateVerdict;

std::string Deciding(const ConfigurationResult& result) {
  if (!result.findings.empty()) {
    return absl::StrCat(result.findings[0].kind, ": ",
                        result.findings[0].text.substr(0, result.findings[0].text.find('\n')));
  }
  for (const GateVerdict wanted :
       {GateVerdict::kFail, GateVerdict::kUndecided, GateVerdict::kPass}) {
    for (const quality::GateOutcome& gate : result.gates) {
      if (gate.verdict == wanted && wanted != GateVerdict::kPass) {
        return absl::StrCat("gate ", gate.gate, ": ", gate.text);
      }
    }
  }
  const auto kl = std::find_if(result.gates.begin(), result.gates.end(),
                               [](const auto& gate) { return gate.metric == "kl_mean"; });
  return absl::StrCat("KL ", IntervalText(FindMetric(result, "kl_mean")),
                      kl == result.gates.end() || kl->bound.empty() ? "" : " " + kl->bound);
}

std::string ToleranceNote(const ConfigurationResult& result) {
  const auto waived = std::count_if(result.divergences.begin(), result.divergences.end(),
                                    [](const auto& d) { return d.near_tie; });
  return waived > 0 ? fmt::format(", {} near ties waived", waived) : "";
}

std::string TableRow(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string Table(const quality::Comparison& comparison) {
  const std::string tokens = absl::StrCat(comparison.options.greedy_tokens), all = "_" + tokens;
  const std::vector<std::string> header = {
      "configuration", "verdict",
      "bits/w",        "MiB",
      "KL mean",       "KL 99.9 %",
      "same top p",    "greedy 10",
      "margin-aware",  "greedy " + tokens,
      "margin-aware",  "ln PPL ratio, " + SchemeText(comparison),
      "worst layer"};
  std::string text = TableRow(header);
  text += TableRow(std::vector<std::string>(header.size(), "---"));
  for (const ConfigurationResult& result : comparison.configurations) {
    text += TableRow({result.configuration.name, VerdictWord(result.verdict()), BitsText(result),
                      MebibyteText(result), IntervalText(FindMetric(result, "kl_mean")),
                      TailText(result), ShareText(FindMetric(result, "top1_agreement")),
                      RateText(FindMetric(result, "greedy_match_10")),
                      RateText(FindMetric(result, "greedy_match_margin_aware_10")),
                      RateText(FindMetric(result, "greedy_match" + all)),
                      RateText(FindMetric(result, "greedy_match_margin_aware" + all)),
                      IntervalText(FindMetric(result, "perplexity_log_ratio")),
                      WorstLayerText(result)});
  }
  return text;
}

std::string WorstPrompts(const ConfigurationResult& result) {
  std::string text =
      "\n| KL | where | position | reference's token | candidate's |\n|---|---|---|---|---|\n";
  for (const quality::WorstPosition& worst : result.worst) {
    text += TableRow({fmt::format("{:.3g}", worst.kl), absl::StrCat(worst.track, " ", worst.item),
                      absl::StrCat(worst.position), absl::StrCat(worst.reference_token),
                      absl::StrCat(worst.candidate_token)});
  }
  return text;
}

std::string LayerTable(const ConfigurationResult& result) {
  std::string text =
      "\n| layer | stage | cosine mean | cosine 1 % | relative error | added error / bound |\n"
      "|---|---|---|---|---|---|\n";
  for (const quality::LayerStage& stage : result.layers) {
    text += TableRow(
        {stage.layer < 0 ? "" : absl::StrCat(stage.layer), stage.stage,
         fmt::format("{:.6f}", stage.cosine_mean), fmt::format("{:.6f}", stage.cosine_q01),
         fmt::format("{:.2e}", stage.relative_error_mean),
         std::isnan(stage.added_error_ratio) ? "–"
                                             : fmt::format("{:.2f}", stage.added_error_ratio)});
  }
  return text;
}

std::string Section(const ConfigurationResult& result) {
  std::string text =
      absl::StrCat("\n## ", result.configuration.name, "\n\n", CompareSentence(result), "\n");
  if (!result.configuration.note.empty())
    absl::StrAppend(&text, "\n", result.configuration.note, ".\n");
  absl::StrAppend(&text, "\nEngine: ", result.engine_text, "; loaded: `", result.echo.dump(),
                  "`\n");
  for (const quality::Finding& finding : result.findings) {
    absl::StrAppend(&text, "\n- **", finding.kind, "**: ", finding.text);
  }
  for (const quality::GateOutcome& gate : result.gates) {
    absl::StrAppend(&text, "\n- gate ", gate.gate, " ", VerdictWord(gate.verdict), ": ", gate.text);
  }
  for (const quality::Skip& skip : result.skips) {
    absl::StrAppend(&text, "\n- not measured: ", skip.track, ": ", skip.reason);
  }
  absl::StrAppend(&text, "\n\n| metric | value | over |\n|---|---|---|\n");
  for (const auto& [name, estimate] : result.metrics) {
    text += TableRow(
        {name, IntervalText(&estimate), absl::StrCat(estimate.count, " in ", estimate.clusters)});
  }
  if (!result.worst.empty()) text += WorstPrompts(result);
  if (!result.layers.empty()) text += LayerTable(result);
  return text;
}

}  // namespace

std::string CompareSentence(const ConfigurationResult& result) {
  std::string text = absl::StrCat(result.configuration.name, " ", VerdictWord(result.verdict()),
                                  ": ", Deciding(result));
  if (const Estimate* greedy = FindMetric(result, "greedy_match_margin_aware_10")) {
    absl::StrAppend(&text, "; ", RateText(greedy), " match at 10", ToleranceNote(result));
  }
  if (!result.layers.empty()) absl::StrAppend(&text, "; worst ", WorstLayerText(result));
  return text;
}

std::string CompareSummary(const quality::Comparison& comparison) {
  constexpr size_t kRows = 10;  // with what stands around them at most 20 lines
  std::string text =
      "| configuration | verdict | KL mean | KL 99.9 % | same top p | greedy 10 | ln PPL ratio |\n"
      "|---|---|---|---|---|---|---|\n";
  std::vector<std::pair<double, std::string>> worst;
  for (size_t i = 0; i < comparison.configurations.size(); ++i) {
    const ConfigurationResult& result = comparison.configurations[i];
    for (const quality::WorstPosition& w : result.worst) {
      worst.emplace_back(
          -w.kl, fmt::format("{}: {} {} position {}, KL {:.2g}", result.configuration.name, w.track,
                             w.item, w.position, w.kl));
    }
    if (i >= kRows) continue;
    text += TableRow({result.configuration.name, VerdictWord(result.verdict()),
                      IntervalText(FindMetric(result, "kl_mean")), TailText(result),
                      ShareText(FindMetric(result, "top1_agreement")),
                      RateText(FindMetric(result, "greedy_match_margin_aware_10")),
                      IntervalText(FindMetric(result, "perplexity_log_ratio"))});
  }
  if (comparison.configurations.size() > kRows) {
    absl::StrAppend(&text, comparison.configurations.size() - kRows, " more in the report\n");
  }
  std::sort(worst.begin(), worst.end());
  for (size_t i = 0; i < std::min<size_t>(3, worst.size()); ++i) {
    absl::StrAppend(&text, "worst ", worst[i].second, "\n");
  }
  return absl::StrCat(text, CountsText(comparison), "\n", IdentityText(comparison), "\n`",
                      comparison.options.command, "`\nreport: ", comparison.options.out,
                      "/compare.md\n");
}

std::string CompareMarkdown(const quality::Comparison& comparison) {
  std::string text =
      absl::StrCat("# crosscheck compare: ", VerdictWord(OverallVerdict(comparison)), "\n\n");
  for (const ConfigurationResult& result : comparison.configurations) {
    absl::StrAppend(&text, "- ", CompareSentence(result), "\n");
  }
  absl::StrAppend(&text, "\n", Table(comparison), "\n", IdentityText(comparison), "\n");
  for (const quality::TaskRequests& task : comparison.inputs.tasks) {
    absl::StrAppend(&text, "\n", TaskText(task), "\n");
  }
  if (!comparison.noise.configuration.engine.empty()) {
    absl::StrAppend(&text, "\nNoise floor (", comparison.noise.configuration.engine, "): KL ",
                    IntervalText(FindMetric(comparison.noise, "kl_mean")), ".\n");
  }
  for (const ConfigurationResult& result : comparison.configurations) text += Section(result);
  const quality::CompareOptions& options = comparison.options;
  absl::StrAppend(&text, "\n## Methods\n\n`", options.command, "`\n\n", CountsText(comparison),
                  ".\n\n");
  absl::StrAppend(
      &text, fmt::format(
                 "KL(p‖q) in nats, reference first, over {} prompts of at most {} positions; {} "
                 "text tokens in windows of {} with stride {} (scheme {}); {} greedy prompts of {} "
                 "tokens{}. {} Seed {}. Dump mode {}.\n",
                 comparison.inputs.given, options.forced_positions, comparison.inputs.text.size(),
                 options.inputs.windows.length, options.inputs.windows.stride,
                 quality::kSchemeNames[static_cast<size_t>(options.inputs.windows.scheme)],
                 comparison.inputs.prompts.size(), options.greedy_tokens,
                 SequentialText(comparison), kIntervals, options.seed,
                 quality::kLogitModeNames[static_cast<size_t>(comparison.mode)]));
  return text + CostMarkdown(comparison.cost);
}

}  // namespace crosscheck
