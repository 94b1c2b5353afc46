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

struct GreedyRates {
  int prompts = 0;
  int raw = 0;           // prompts without divergence
  int margin_aware = 0;  // and those whose first divergence is a near tie
};
// `near_tie[i]` says of prompt i whether its first divergence is one; read where there is one.
GreedyRates CountMatches(absl::Span<const FirstDivergence> divergences,
                         const std::vector<bool>& near_tie);

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
