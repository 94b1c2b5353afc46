#include "quality/metrics/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "quality/metrics/compensated_sum.h"

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Row {
  double max = -kInfinity;
  double sum = 0;  // of e^(z - max)
};

template <class Float>
Row Normalise(absl::Span<const Float> logits, int64_t& non_finite, std::vector<double>& weights) {
  Row row;
  for (const double logit : logits) {
    const bool bad = std::isnan(logit) || logit == kInfinity;
    non_finite += bad;
    if (!bad) row.max = std::max(row.max, logit);
  }
  if (row.max == -kInfinity) {
    ++non_finite;
    return row;
  }
  weights.resize(logits.size());
  CompensatedSum sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    sum += weights[i] = std::exp(logits[i] - row.max);
  }
  row.sum = sum.value();
  return row;
}

// One side as its logits and normalised weights see it.
template <class Float>
struct Side {
  absl::Span<const Float> logits;
  const std::vector<double>& weights;
  Row row;
};

// The mean of x = (z' - max') - (z - max) under p, over the tokens that both sides allow; +inf if
// p allows a token that q does not.
template <class Float>
double MeanDifference(const Side<Float>& p, const Side<Float>& q) {
  CompensatedSum sum;
  for (size_t i = 0; i < p.logits.size(); ++i) {
    if (p.logits[i] == -kInfinity) continue;
    if (q.logits[i] == -kInfinity) return kInfinity;
    sum += p.weights[i] * ((q.logits[i] - q.row.max) - (p.logits[i] - p.row.max));
  }
  return sum.value() / p.row.sum;
}

// KL(p||q) = ln sum p e^d - sum p d with d = x less its mean under p: (ln(1 + y) - y) + sum p
// (e^d - 1 - d), whose terms are not negative, plus a correction of order y^2. The shift by the
// mean in place of quality.md's shift by the maxima keeps y small when the top token moves away
// from the rest; what is left of the mean after its rounding is `residual`.
template <class Float>
double KlOf(const Side<Float>& p, const Side<Float>& q) {
  constexpr double kDirectAbove = 30;  // e^-mean would overflow before the weights underflow
  const double mean = MeanDifference(p, q);
  if (mean == kInfinity) return kInfinity;
  if (std::abs(mean) > kDirectAbove) return std::log(q.row.sum / p.row.sum) - mean;
  const double scale = std::exp(-mean);
  CompensatedSum sum, residual;
  for (size_t i = 0; i < p.logits.size(); ++i) {
    if (p.logits[i] == -kInfinity) {
      sum += q.weights[i] * scale;
      continue;
    }
    const double d = (q.logits[i] - q.row.max) - (p.logits[i] - p.row.max) - mean;
    residual += p.weights[i] * d;
    sum += std::abs(d) <= 1 ? p.weights[i] * ExpMinusLinear(d)
                            : q.weights[i] * scale - p.weights[i] * (1 + d);
  }
  const double convex = sum.value() / p.row.sum;
  return LogMinusLinear(convex + residual.value() / p.row.sum) + convex;
}

// ((1+u) ln(1+u) + (1-u) ln(1-u)) / 2 for |u| <= 1.
double JensenShannonTerm(double u) {
  if (std::abs(u) < 0.03) {
    const double square = u * u;
    return square * (1.0 / 2 + square * (1.0 / 12 + square * (1.0 / 30 + square / 56)));
  }
  if (std::abs(u) >= 1) return std::log(2.0);
  return ((1 + u) * std::log1p(u) + (1 - u) * std::log1p(-u)) / 2;
}

template <class Float>
void AddSymmetric(const Side<Float>& p, const Side<Float>& q, Divergence& d) {
  const double log_ratio = std::log(p.row.sum / q.row.sum);
  CompensatedSum entropy, variation, jensen_shannon;
  for (size_t i = 0; i < p.logits.size(); ++i) {
    const double p_i = p.weights[i] / p.row.sum, q_i = q.weights[i] / q.row.sum;
    if (p.logits[i] == -kInfinity && q.logits[i] == -kInfinity) continue;
    const double x = (q.logits[i] - q.row.max) - (p.logits[i] - p.row.max) + log_ratio;
    const double u = std::tanh(x / 2);  // (q - p) / (q + p)
    variation += (p_i + q_i) * std::abs(u);
    jensen_shannon += (p_i + q_i) / 2 * JensenShannonTerm(u);
    if (p_i > 0) entropy += p_i * (p.row.max - p.logits[i]);
  }
  d.entropy = entropy.value() + std::log(p.row.sum);
  d.total_variation = variation.value() / 2;
  d.jensen_shannon = jensen_shannon.value();
}

// What is about z' - z itself.
template <class Float>
void AddDifferences(const Side<Float>& p, const Side<Float>& q, Divergence& d) {
  double sum = 0, weighted = 0, weight = 0;
  int64_t count = 0;
  d.least_difference = kInfinity, d.largest_difference = -kInfinity;
  const auto visit = [&](auto&& f) {
    for (size_t i = 0; i < p.logits.size(); ++i) {
      if (p.logits[i] == -kInfinity || q.logits[i] == -kInfinity) continue;
      f(static_cast<double>(q.logits[i]) - p.logits[i], p.weights[i]);
    }
  };
  visit([&](double difference, double w) {
    sum += difference, weighted += w * difference, weight += w, ++count;
    d.least_difference = std::min(d.least_difference, difference);
    d.largest_difference = std::max(d.largest_difference, difference);
  });
  const double mean = sum / static_cast<double>(count), mean_under_p = weighted / weight;
  double squares = 0, variance = 0;
  visit([&](double difference, double w) {
    squares += (difference - mean) * (difference - mean);
    variance += w * (difference - mean_under_p) * (difference - mean_under_p);
  });
  d.centred_linf = std::max(d.largest_difference - mean, mean - d.least_difference);
  d.centred_rms = std::sqrt(squares / static_cast<double>(count));
  d.half_variance = variance / weight / 2;
}

template <class Float>
Divergence Compute(absl::Span<const Float> reference, absl::Span<const Float> candidate) {
  Divergence d;
  std::vector<double> p_weights, q_weights;
  const Row p_row = Normalise(reference, d.non_finite, p_weights);
  const Row q_row = Normalise(candidate, d.non_finite, q_weights);
  if (d.non_finite > 0) {
    d.kl = d.reverse_kl = d.jensen_shannon = d.total_variation = d.half_variance = kNan;
    d.entropy = d.centred_linf = d.centred_rms = d.reference_lse = d.candidate_lse = kNan;
    d.least_difference = d.largest_difference = kNan;
    return d;
  }
  const Side<Float> p{reference, p_weights, p_row}, q{candidate, q_weights, q_row};
  d.reference_lse = p_row.max + std::log(p_row.sum);
  d.candidate_lse = q_row.max + std::log(q_row.sum);
  d.kl = KlOf(p, q);
  d.reverse_kl = KlOf(q, p);
  AddSymmetric(p, q, d);
  AddDifferences(p, q, d);
  return d;
}

}  // namespace

double ExpMinusLinear(double x) {
  if (std::abs(x) >= 0.5) return std::expm1(x) - x;
  double series = 1.0 / 13;  // x^2/2 (1 + x/3 (1 + x/4 (… x/13)))
  series *= x;
  for (int k = 12; k >= 3; --k) series = x / k * (1 + series);
  return x * x / 2 * (1 + series);
}

double LogMinusLinear(double y) {
  if (std::abs(y) >= 0.1) return std::log1p(y) - y;
  double series = 0;  // -y^2 (1/2 - y (1/3 - y (1/4 - …)))
  for (int k = 16; k >= 2; --k) series = 1.0 / k - y * series;
  return -y * y * series;
}

bool Divergence::support_violation() const { return kl == kInfinity; }

Divergence DivergenceOf(absl::Span<const double> reference, absl::Span<const double> candidate) {
  return Compute(reference, candidate);
}

Divergence DivergenceOf(absl::Span<const float> reference, absl::Span<const float> candidate) {
  return Compute(reference, candidate);
}

double LogProbabilityChange(double reference_logit, double candidate_logit, const Divergence& d) {
  if (reference_logit == candidate_logit && std::isinf(reference_logit)) return 0;
  return (candidate_logit - d.candidate_lse) - (reference_logit - d.reference_lse);
}

double ProbabilityChange(double reference_logit, double candidate_logit, const Divergence& d) {
  return std::exp(candidate_logit - d.candidate_lse) - std::exp(reference_logit - d.reference_lse);
}

}  // namespace crosscheck::quality
