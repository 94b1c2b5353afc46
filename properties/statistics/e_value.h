// E-values: evidence against a null hypothesis that stays valid however long one looks
// (judging.md 8.7, 8.8). Under the null an e-value has expectation at most 1, so it reaches x with
// probability at most 1/x; products over independent data and averages over any data are e-values
// again.
#ifndef CROSSCHECK_PROPERTIES_STATISTICS_E_VALUE_H_
#define CROSSCHECK_PROPERTIES_STATISTICS_E_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

// A case is a finding at this evidence, whatever was checked before it: at most 10^6 statistical
// cases of a campaign make its false-alarm rate at most 10^-6.
inline constexpr double kCaseThreshold = 1e12;
inline constexpr double kMixtureConcentration = 100;

// The Dirichlet mixture over a fixed set of cells, one draw at a time:
// E <- E * ((kappa p_i + n_i) / (kappa + n)) / p_i, n_i the draws of cell i before this one.
class MixtureEvidence {
 public:
  explicit MixtureEvidence(std::vector<double> probability,
                           double concentration = kMixtureConcentration)
      : probability_(std::move(probability)),
        counts_(probability_.size()),
        concentration_(concentration) {}
  // A cell of probability 0 makes the evidence infinite.
  void Add(size_t cell);
  double log_e() const { return log_e_; }
  int64_t draws() const { return draws_; }

 private:
  const std::vector<double> probability_;
  std::vector<int64_t> counts_;
  const double concentration_;
  int64_t draws_ = 0;
  double log_e_ = 0;
};

// ln of the weighted average of e-values given by their logarithms; the weights sum to 1.
double LogAverage(absl::Span<const double> log_e, absl::Span<const double> weights);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_STATISTICS_E_VALUE_H_
