// Greedy generation of two engines from the same prompts: how many match, where the first
// divergence is, and whether it is excusable (quality.md 3.4, judging.md 4).
//
// Two rates, always both: raw, and margin-aware, where a first divergence that is a near tie counts
// as a match (and is listed). After the first divergence free runs are not comparable.
#ifndef CROSSCHECK_QUALITY_METRICS_GREEDY_MATCH_H_
#define CROSSCHECK_QUALITY_METRICS_GREEDY_MATCH_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

// What one side generated from one prompt; the end-of-sequence id is not part of `ids`.
struct GreedyRun {
  absl::Span<const int32_t> ids;
  std::string_view stop;  // the reason: "length", "eos" or "stop"
};

enum class DivergenceKind {
  kNone,
  kToken,   // both chose a token at `index`, not the same one
  kLength,  // one stopped at `index` (or both did, for different reasons)
};
struct FirstDivergence {
  DivergenceKind kind = DivergenceKind::kNone;
  int index = -1;  // -1 for kNone
};
// Within the first `at` tokens. Runs that both reached `at` tokens agree whatever came after; one
// that stopped before agrees only with one that has the same ids and the same reason.
FirstDivergence FindDivergence(const GreedyRun& reference, const GreedyRun& candidate, int at);

// Whether taking a token whose exact logit is `gap` below the best is within the allowed errors of
// the two logits (judging.md 4.1). `gap` is of the token that was chosen, not of the runner-up.
bool IsNearTie(double gap, double error_of_best, double error_of_chosen);

// One prompt of many, for the two rates.
struct PromptMatch {
  int prompt = 0;  // its index in its set
  FirstDivergence first = {};
  bool near_tie = false;  // the first divergence is one
  // Within the first `at` tokens, at most those that `first` is of.
  bool MatchesAt(int at, bool margin_aware) const {
    return first.kind == DivergenceKind::kNone || first.index >= at || (margin_aware && near_tie);
  }
};
// Prompts that match.
int CountMatches(absl::Span<const PromptMatch> prompts, int at, bool margin_aware);

struct DivergenceHistogram {
  std::vector<int> by_index;  // [at], token divergences
  int none = 0, length = 0;
};
DivergenceHistogram HistogramOf(absl::Span<const FirstDivergence> divergences, int at);

// (1 - f)^n for n = 0 … at: the share of prompts expected without a divergence in n tokens when
// each token flips with probability f, the flip rate of the forced track.
std::vector<double> ExpectedSurvival(double flip_rate, int at);

// P(F = f), f = 0 … N, of the number F of legitimate flips when position t flips with probability
// pi_t (judging.md 4.4).
std::vector<double> PoissonBinomial(absl::Span<const double> probabilities);
// P(F >= observed): the population test of flips.
double PoissonBinomialTail(absl::Span<const double> probabilities, int observed);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_GREEDY_MATCH_H_
