#include "properties/statistics/e_value.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace crosscheck {

void MixtureEvidence::Add(size_t cell) {
  const double p = probability_[cell];
  const double mixed = (concentration_ * p + static_cast<double>(counts_[cell])) /
                       (concentration_ + static_cast<double>(draws_));
  log_e_ += p > 0 ? std::log(mixed / p) : std::numeric_limits<double>::infinity();
  ++counts_[cell];
  ++draws_;
}

double LogAverage(absl::Span<const double> log_e, absl::Span<const double> weights) {
  const double largest = *std::max_element(log_e.begin(), log_e.end());
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (size_t i = 0; i < log_e.size(); ++i) sum += weights[i] * std::exp(log_e[i] - largest);
  return largest + std::log(sum);
}

}  // namespace crosscheck
