#include "reference/metrics.h"

#include <algorithm>
#include <cmath>

namespace crosscheck {
namespace {

// exp(x) - 1 - x. The series below 1/64 keeps full relative precision where expm1(x) - x would
// cancel.
double ExpMinusLinear(double x) {
  if (std::abs(x) > 1.0 / 64) return std::expm1(x) - x;
  return x * x *
         (1.0 / 2 +
          x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120 + x * (1.0 / 720 + x * (1.0 / 5040))))));
}

// `weight` becomes exp(logit - max); returns {max, sum of weights}.
struct Partition {
  double max, sum;
};
Partition Exponentiate(absl::Span<const double> logits, std::vector<double>& weight) {
  weight.resize(logits.size());
  double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) sum += weight[i] = std::exp(logits[i] - max);
  return {max, sum};
}

// KL(p||q) = ln sum p_i exp(d_i), where d = q - p less its mean under p. As the mean of d is zero,
// the sum is 1 + sum p_i (exp(d_i) - 1 - d_i): nothing cancels, however small the difference.
// `weight` is scratch.
double KlOfDifference(absl::Span<const double> p, absl::Span<const double> difference,
                      std::vector<double>& weight) {
  constexpr double kDirectAbove = 30;  // exp() would overflow before the weights underflow
  auto [max, sum] = Exponentiate(p, weight);
  double mean = 0, largest = 0;
  for (size_t i = 0; i < p.size(); ++i) mean += weight[i] * difference[i];
  mean /= sum;
  for (double d : difference) largest = std::max(largest, std::abs(d - mean));
  if (largest > kDirectAbove) {
    double q_max = -HUGE_VAL, q_sum = 0;
    for (size_t i = 0; i < p.size(); ++i) q_max = std::max(q_max, p[i] + difference[i]);
    for (size_t i = 0; i < p.size(); ++i) q_sum += std::exp(p[i] + difference[i] - q_max);
    return std::max(0.0, (q_max - max) + std::log(q_sum / sum) - mean);
  }
  double total = 0;
  for (size_t i = 0; i < p.size(); ++i) total += weight[i] * ExpMinusLinear(difference[i] - mean);
  return std::log1p(total / sum);
}

}  // namespace

void DistancePool::AddRow(absl::Span<const double> exact, absl::Span<const double> other) {
  difference_.resize(exact.size());
  double mean = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    double d = other[i] - exact[i];
    difference_[i] = d;
    mean += d;
    linf_ = std::max(linf_, std::abs(d));
    largest_exact_ = std::max(largest_exact_, std::abs(exact[i]));
  }
  mean /= static_cast<double>(exact.size());
  for (double& d : difference_) {
    d -= mean;
    centred_linf_ = std::max(centred_linf_, std::abs(d));
    centred_squares_ += d * d;
  }
  kl_ += KlOfDifference(exact, difference_, weight_);
  values_ += static_cast<int64_t>(exact.size());
  ++rows_;
}

Distances DistancePool::Result() const {
  Distances result{};
  if (rows_ == 0) return result;
  result[Index(Metric::kCentredLinf)] = centred_linf_;
  result[Index(Metric::kCentredRms)] = std::sqrt(centred_squares_ / static_cast<double>(values_));
  result[Index(Metric::kSqrtMeanKl)] = std::sqrt(kl_ / rows_);
  result[Index(Metric::kLinf)] = linf_;
  return result;
}

double KlDivergence(absl::Span<const double> p, absl::Span<const double> q) {
  std::vector<double> difference(p.size()), weight;
  for (size_t i = 0; i < p.size(); ++i) difference[i] = q[i] - p[i];
  return KlOfDifference(p, difference, weight);
}

double Rms(absl::Span<const double> a, absl::Span<const double> b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return a.empty() ? 0 : std::sqrt(squares / static_cast<double>(a.size()));
}

double LogSumExp(absl::Span<const double> logits) {
  double max = *std::max_element(logits.begin(), logits.end()), sum = 0;
  for (double z : logits) sum += std::exp(z - max);
  return max + std::log(sum);
}

double NegativeLogLikelihood(absl::Span<const double> logits, int64_t token) {
  return LogSumExp(logits) - logits[static_cast<size_t>(token)];
}

double NllDifference(absl::Span<const double> exact, absl::Span<const double> other, int token) {
  return std::abs(NegativeLogLikelihood(exact, token) - NegativeLogLikelihood(other, token));
}

double Ulp(DType dtype, double value) {
  struct Format {
    int smallest_exponent, fraction_bits;
  };
  Format format = dtype == DType::kF64    ? Format{-1022, 52}
                  : dtype == DType::kF16  ? Format{-14, 10}
                  : dtype == DType::kBF16 ? Format{-126, 7}
                                          : Format{-126, 23};
  int exponent = format.smallest_exponent;
  if (value != 0) exponent = std::max(exponent, std::ilogb(value));
  return std::ldexp(1.0, exponent - format.fraction_bits);
}

}  // namespace crosscheck
