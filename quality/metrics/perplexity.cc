#include "quality/metrics/perplexity.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "quality/metrics/compensated_sum.h"

namespace crosscheck::quality {
namespace {

std::vector<Window> Overlapping(const WindowPlan& plan, int64_t tokens) {
  std::vector<Window> windows;
  int64_t scored = 1;  // token 0 has no prediction
  for (int64_t begin = 0; scored < tokens; begin += plan.stride) {
    Window window{.begin = begin, .end = std::min(begin + plan.length, tokens)};
    window.first_target = scored;
    window.last_target = scored = window.end;
    windows.push_back(window);
  }
  return windows;
}

std::vector<Window> Disjoint(const WindowPlan& plan, int64_t tokens) {
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + plan.length <= tokens; begin += plan.length) {
    Window window{.begin = begin, .end = begin + plan.length};
    window.first_target = begin + plan.length / 2 + 1;
    window.last_target = window.end;
    window.replace_first_by_bos = true;
    if (window.targets() > 0) windows.push_back(window);
  }
  return windows;
}

}  // namespace

std::string PlanError(const WindowPlan& plan) {
  if (plan.length < 2) return absl::StrCat("window length ", plan.length, ": at least 2");
  if (plan.scheme != Scheme::kLlamaCpp && (plan.stride < 1 || plan.stride >= plan.length)) {
    return absl::StrCat("stride ", plan.stride,
                        ": between 1 and window length - 1 = ", plan.length - 1);
  }
  return "";
}

std::vector<Window> PlanWindows(const WindowPlan& plan, int64_t tokens) {
  return plan.scheme == Scheme::kLlamaCpp ? Disjoint(plan, tokens) : Overlapping(plan, tokens);
}

double Perplexity(Scheme scheme, absl::Span<const std::vector<double>> nll) {
  CompensatedSum sum, weights;
  for (size_t w = 0; w < nll.size(); ++w) {
    if (nll[w].empty()) continue;
    CompensatedSum window;
    for (const double value : nll[w]) window += value;
    const auto targets = static_cast<double>(nll[w].size());
    // Transformers' page weights a window by its valid labels less one, although only the first
    // window has a label that predicts nothing.
    const double weight = targets - (scheme == Scheme::kHf && w > 0 ? 1 : 0);
    sum += window.value() * (weight / targets);
    weights += weight;
  }
  return std::exp(sum.value() / weights.value());
}

PerplexityRatio ComparePerplexity(absl::Span<const std::vector<double>> reference_nll,
                                  absl::Span<const std::vector<double>> candidate_nll) {
  PerplexityRatio result;
  CompensatedSum reference, candidate;
  std::vector<Cluster> differences;
  for (size_t c = 0; c < reference_nll.size(); ++c) {
    std::vector<double> d;
    for (size_t t = 0; t < reference_nll[c].size(); ++t) {
      reference += reference_nll[c][t];
      candidate += candidate_nll[c][t];
      d.push_back(candidate_nll[c][t] - reference_nll[c][t]);
    }
    result.targets += static_cast<int64_t>(d.size());
    differences.push_back(ClusterOf(d));
  }
  const auto count = static_cast<double>(result.targets);
  result.reference = std::exp(reference.value() / count);
  result.candidate = std::exp(candidate.value() / count);
  result.log_ratio = EstimateMean(differences);
  return result;
}

}  // namespace crosscheck::quality
