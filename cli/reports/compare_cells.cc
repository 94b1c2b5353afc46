#include "cli/reports/compare_cells.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fmt/format.h"
#include "quality/metrics/cluster.h"
#include "quality/metrics/quantile.h"

namespace crosscheck {

using quality::ConfigurationResult;
using quality::Estimate;
using quality::GateVerdict;

namespace {
constexpr const char* kVerdictWords[] = {"PASS", "FAIL", "UNDECIDED"};
}  // namespace

std::string VerdictWord(GateVerdict verdict) { return kVerdictWords[static_cast<size_t>(verdict)]; }

const Estimate* FindMetric(const ConfigurationResult& result, const std::string& metric) {
  const auto found = result.metrics.find(metric);
  return found == result.metrics.end() ? nullptr : &found->second;
}

// "1.2e-05 [9.0e-06, 1.6e-05]"; "–" where it was not measured.
std::string IntervalText(const Estimate* estimate) {
  if (estimate == nullptr || std::isnan(estimate->value)) return "–";
  std::string text = fmt::format("{:.3g}", estimate->value);
  if (std::isfinite(estimate->lower)) {
    text += fmt::format(" [{:.2g}, {:.2g}]", estimate->lower, estimate->upper);
  }
  if (estimate->clusters > 0 && estimate->clusters < quality::kFewestClusters)
    text += " (few clusters)";
  return text;
}

std::string RateText(const Estimate* estimate) {
  if (estimate == nullptr || estimate->clusters == 0) return "–";
  return fmt::format("{}/{}", estimate->count, estimate->clusters);
}

std::string ShareText(const Estimate* estimate) {
  if (estimate == nullptr || std::isnan(estimate->value)) return "–";
  const int decimals = estimate->count < 1000 ? 1 : 2;
  // Rounded down, so that only all is 100 %.
  const double unit = std::pow(10, decimals);
  const auto percent = [&](double share) {
    return fmt::format("{:.{}f}", std::floor(100 * share * unit + 1e-9) / unit, decimals);
  };
  std::string text = percent(estimate->value) + " %";
  if (std::isfinite(estimate->lower)) {
    text += fmt::format(" [{}, {}]", percent(std::max(estimate->lower, 0.0)),
                        percent(std::min(estimate->upper, 1.0)));
  }
  return text;
}

std::string TailText(const ConfigurationResult& result) {
  const Estimate* tail = FindMetric(result, "kl_q999");
  const bool maximum =
      tail != nullptr && tail->count < static_cast<int64_t>(quality::kFewestForTail);
  return IntervalText(tail) + (maximum && !std::isnan(tail->value) ? " (the maximum)" : "");
}

std::string CountsText(const quality::Comparison& comparison) {
  int gates[3] = {};
  size_t skips = 0, findings = 0;
  for (const ConfigurationResult& result : comparison.configurations) {
    for (const quality::GateOutcome& gate : result.gates) {
      ++gates[static_cast<size_t>(gate.verdict)];
    }
    skips += result.skips.size();
    findings += result.findings.size();
  }
  return fmt::format("gates: {} passed, {} failed, {} undecided; findings: {}; not measured: {}",
                     gates[0], gates[1], gates[2], findings, skips);
}

std::string BitsText(const ConfigurationResult& result) {
  return std::isnan(result.bits_per_weight) ? "–" : fmt::format("{:.2f}", result.bits_per_weight);
}

std::string MebibyteText(const ConfigurationResult& result) {
  if (result.weight_bytes == 0) return "–";
  return fmt::format("{:.1f}", static_cast<double>(result.weight_bytes) / (1 << 20));
}

std::string WorstLayerText(const ConfigurationResult& result) {
  const quality::LayerStage* worst = nullptr;
  for (const quality::LayerStage& stage : result.layers) {
    const bool added = std::isfinite(stage.added_error_ratio);
    if (!added && std::isnan(stage.cosine_q01)) continue;
    const bool worst_added = worst != nullptr && std::isfinite(worst->added_error_ratio);
    if (worst == nullptr || (added && !worst_added) ||
        (added && stage.added_error_ratio > worst->added_error_ratio) ||
        (!added && !worst_added && stage.cosine_q01 < worst->cosine_q01)) {
      worst = &stage;
    }
  }
  if (worst == nullptr) return "–";
  const std::string place =
      worst->layer < 0 ? worst->stage : fmt::format("L{:02} {}", worst->layer, worst->stage);
  if (!std::isfinite(worst->added_error_ratio)) {
    return fmt::format("{} (relative error {:.2g}, cosine {:.5f})", place,
                       worst->relative_error_mean, worst->cosine_q01);
  }
  return fmt::format("{} (added error {:.2g} of its bound, cosine {:.5f})", place,
                     worst->added_error_ratio, worst->cosine_q01);
}

std::string SequentialText(const quality::Comparison& comparison) {
  return comparison.inputs.order.empty()
             ? ""
             : ", at most: they are added in a seeded order until an e-value decides each gate";
}

std::string SchemeText(const quality::Comparison& comparison) {
  const quality::WindowPlan& plan = comparison.options.inputs.windows;
  return fmt::format("{} {}/{}", quality::kSchemeNames[static_cast<size_t>(plan.scheme)],
                     plan.length, plan.stride);
}

std::string IdentityText(const quality::Comparison& comparison) {
  std::vector<std::string> files;
  for (const auto& [name, hash] : comparison.model.items()) {
    files.push_back(absl::StrCat(name, " ", hash.get<std::string>().substr(0, 12)));
  }
  const std::string tokenizer = comparison.inputs.tokenizer.is_object()
                                    ? comparison.inputs.tokenizer.value("sha256", "").substr(0, 12)
                                    : "none";
  return absl::StrCat("model ", absl::StrJoin(files, ", "), "; tokenizer ", tokenizer, "; prompts ",
                      comparison.inputs.prompts_sha256.substr(0, 12), "; reference ",
                      comparison.reference, "; crosscheck ", comparison.options.build);
}

std::string TaskText(const quality::TaskRequests& task) {
  const quality::RequestCounts counts = quality::CountRequests(task);
  std::string text = fmt::format(
      "{}: {} questions, {} examples each, {} requests ({} split inside a token, {} with a cut "
      "context)",
      task.task.name, task.task.questions.size(), task.task.shots, task.requests.size(),
      counts.split_inside_a_token, counts.truncated);
  for (const quality::TaskFile& file : task.task.files) {
    text +=
        fmt::format("; {}, {} rows, SHA-256 {}", file.path, file.rows, file.sha256.substr(0, 12));
  }
  return text;
}

}  // namespace crosscheck
