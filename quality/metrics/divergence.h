// How far two rows of logits are from each other, in fp64 (quality.md 3.1, 3.3). The slow, exact
// form: fast_divergence.h computes the first number at the speed of memory and is tested against
// it.
//
// Example:
//   const Divergence d = DivergenceOf(reference_row, candidate_row);
//   if (d.non_finite > 0) …                 // a finding, no number
//   else if (std::isinf(d.kl)) …            // support violation: counted, excluded from means
//   else kl.push_back(d.kl);
#ifndef CROSSCHECK_QUALITY_METRICS_DIVERGENCE_H_
#define CROSSCHECK_QUALITY_METRICS_DIVERGENCE_H_

#include <cstdint>

#include "absl/types/span.h"

namespace crosscheck::quality {

// p and q are the softmaxes of reference and candidate, z and z' their logits; nats. A token whose
// logit is -inf on both sides does not exist; the differences z' - z are those of tokens that are
// finite on both.
struct Divergence {
  double kl = 0;              // KL(p||q); +inf: q gives 0 to a token that p does not (support)
  double reverse_kl = 0;      // KL(q||p); +inf the other way round
  double jensen_shannon = 0;  // at most ln 2
  double total_variation = 0;
  double half_variance = 0;                  // Var_p(z' - z) / 2, what kl is for small differences
  double entropy = 0;                        // of p
  double centred_linf = 0, centred_rms = 0;  // of z' - z less its mean over tokens
  double least_difference = 0, largest_difference = 0;  // of z' - z
  double reference_lse = 0, candidate_lse = 0;
  int64_t non_finite = 0;  // NaN and +inf of both rows; where positive, all of the above is NaN

  bool support_violation() const;
};

// Rows of one length, at least 1. A row without a finite logit counts as one more non-finite one.
// Values above 1e-300 keep their relative precision: nothing of order 1 is subtracted.
Divergence DivergenceOf(absl::Span<const double> reference, absl::Span<const double> candidate);
Divergence DivergenceOf(absl::Span<const float> reference, absl::Span<const float> candidate);

// ln q(token) - ln p(token); at most largest_difference - least_difference in size where the rows
// share their support. -inf and +inf where one side excludes the token.
double LogProbabilityChange(double reference_logit, double candidate_logit, const Divergence& d);
// q(token) - p(token): Delta p.
double ProbabilityChange(double reference_logit, double candidate_logit, const Divergence& d);

// e^x - 1 - x to full relative precision: a series below 1/2 in size.
double ExpMinusLinear(double x);
// ln(1 + y) - y to full relative precision.
double LogMinusLinear(double y);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_DIVERGENCE_H_
