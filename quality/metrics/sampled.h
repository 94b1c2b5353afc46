// How far what an engine samples is from the reference's law (quality.md 3.5, judging.md 8).
//
// A quantised engine samples from another law, so that enough draws always reject: the effect size
// says how far, the p-value gates f32 and f16 only. Whether the sampler is exact is asked of the
// engine's own logits, elsewhere (properties/sampler_distribution.cc).
#ifndef CROSSCHECK_QUALITY_METRICS_SAMPLED_H_
#define CROSSCHECK_QUALITY_METRICS_SAMPLED_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "properties/statistics/goodness_of_fit.h"
#include "properties/stream.h"

namespace crosscheck::quality {

// softmax(logits / temperature); temperature > 0. -inf has probability 0.
std::vector<double> LawAt(absl::Span<const float> logits, double temperature);
std::vector<double> LawAt(absl::Span<const double> logits, double temperature);

// Draws against the law `p` of one prompt, in cells that expect at least five draws, or of several
// prompts together (sums of their statistics and degrees of freedom).
struct DrawsAgainstLaw {
  TestResult pearson, likelihood_ratio;
  int64_t draws = 0;
  int64_t outside_support = 0;  // draws of tokens that p excludes: no cell has them

  // (X^2 - df) / n, at least 0: an estimate of the sum of (q - p)^2 / p.
  double squared_effect() const;
};
DrawsAgainstLaw CompareDraws(absl::Span<const int64_t> counts, absl::Span<const double> p);
DrawsAgainstLaw Combine(absl::Span<const DrawsAgainstLaw> prompts);

// Evidence that draws are not of the law of their logits (judging.md 8.7): the mean of an e-value
// that sees any other law of the pooled cells and of one that sees another temperature, each a
// product over positions. An exact sampler reaches E = x with probability at most 1 / x.
class SamplerEvidence {
 public:
  // Draws of tokens to which the law gives nothing are not counted here.
  void Add(absl::Span<const float> logits, double temperature, absl::Span<const int64_t> counts);
  double log_e() const;

 private:
  static constexpr std::array<double, 6> kFactors = {0.8, 0.9, 0.95, 1.05, 1.1, 1.25};
  double cells_ = 0;                                // ln E
  std::array<double, kFactors.size()> tempered_{};  // ln E against this factor of the temperature
};

// How much a chi-square test of `draws` draws sees of a sampler whose temperature is `factor` times
// what was asked: its non-centrality and degrees of freedom, to be added up over positions.
TestResult ShiftOfTemperature(absl::Span<const float> logits, double temperature, double factor,
                              int64_t draws);

// Of two vectors of counts of one length, each normalised; nats. 0 where a side is empty.
double JensenShannonOfCounts(absl::Span<const int64_t> a, absl::Span<const int64_t> b);
double TotalVariationOfCounts(absl::Span<const int64_t> a, absl::Span<const int64_t> b);

// Generations of both sides from one prompt, pair by pair: equally many, ids.
struct PromptSamples {
  std::vector<std::vector<int32_t>> reference, candidate;
};

struct NGramDistance {
  double divergence =
      0;               // Jensen-Shannon of the pooled n-gram counts: positive also under the null
  double excess = 0;   // less its mean under swaps: 0 on average where the laws are equal
  double p_value = 1;  // (1 + swaps with at least this divergence) / (1 + swaps)
};
inline constexpr int kSwaps = 1000;
// Each swap exchanges the two sides of each pair with probability 1/2, within its prompt.
NGramDistance CompareNGrams(absl::Span<const PromptSamples> prompts, int n, Stream stream,
                            int swaps = kSwaps);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_SAMPLED_H_
