#include "quality/metrics/greedy_match.h"

#include <algorithm>
#include <cmath>

namespace crosscheck::quality {

FirstDivergence FindDivergence(const GreedyRun& reference, const GreedyRun& candidate, int at) {
  const int reference_length = std::min<int>(at, static_cast<int>(reference.ids.size()));
  const int candidate_length = std::min<int>(at, static_cast<int>(candidate.ids.size()));
  const int common = std::min(reference_length, candidate_length);
  for (int i = 0; i < common; ++i) {
    if (reference.ids[i] != candidate.ids[i]) return {DivergenceKind::kToken, i};
  }
  const bool both_stopped = common < at && reference_length == candidate_length;
  if (reference_length != candidate_length || (both_stopped && reference.stop != candidate.stop)) {
    return {DivergenceKind::kLength, common};
  }
  return {};
}

bool IsNearTie(double gap, double error_of_best, double error_of_chosen) {
  return gap <= error_of_best + error_of_chosen;
}

int CountMatches(absl::Span<const PromptMatch> prompts, int at, bool margin_aware) {
  return static_cast<int>(
      std::count_if(prompts.begin(), prompts.end(),
                    [&](const PromptMatch& prompt) { return prompt.MatchesAt(at, margin_aware); }));
}

DivergenceHistogram HistogramOf(absl::Span<const FirstDivergence> divergences, int at) {
  DivergenceHistogram histogram{.by_index = std::vector<int>(static_cast<size_t>(at))};
  for (const FirstDivergence& divergence : divergences) {
    switch (divergence.kind) {
      case DivergenceKind::kNone:
        ++histogram.none;
        break;
      case DivergenceKind::kLength:
        ++histogram.length;
        break;
      case DivergenceKind::kToken:
        ++histogram.by_index.at(static_cast<size_t>(divergence.index));
    }
  }
  return histogram;
}

std::vector<double> ExpectedSurvival(double flip_rate, int at) {
  std::vector<double> survival;
  for (int n = 0; n <= at; ++n) survival.push_back(std::pow(1 - flip_rate, n));
  return survival;
}

std::vector<double> PoissonBinomial(absl::Span<const double> probabilities) {
  std::vector<double> law = {1};
  for (const double p : probabilities) {
    law.push_back(0);
    for (size_t f = law.size() - 1; f > 0; --f) law[f] = (1 - p) * law[f] + p * law[f - 1];
    law[0] *= 1 - p;
  }
  return law;
}

double PoissonBinomialTail(absl::Span<const double> probabilities, int observed) {
  const std::vector<double> law = PoissonBinomial(probabilities);
  double tail = 0;
  for (size_t f = law.size(); f-- > static_cast<size_t>(std::max(observed, 0));) tail += law[f];
  return std::min(tail, 1.0);
}

}  // namespace crosscheck::quality
