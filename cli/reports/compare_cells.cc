#include "cli/reports/compare_cells.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "fmt/format.h"
#include "quality/metrics/cluster.h"

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
  return fmt::format("{:.2f} %", 100 * estimate->value);
}

// The stage with the least cosine, in words.
std::string WorstLayerText(const ConfigurationResult& result) {
  const quality::LayerStage* worst = nullptr;
  for (const quality::LayerStage& stage : result.layers) {
    if (std::isnan(stage.cosine_q01)) continue;
    if (worst == nullptr || stage.cosine_q01 < worst->cosine_q01) worst = &stage;
  }
  if (worst == nullptr) return "–";
  const std::string place =
      worst->layer < 0 ? worst->stage : fmt::format("L{:02} {}", worst->layer, worst->stage);
  return fmt::format("{} (cosine {:.5f})", place, worst->cosine_q01);
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
