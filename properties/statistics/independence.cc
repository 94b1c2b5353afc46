#include "properties/statistics/independence.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/poisson.hpp>
#include <cmath>
#include <numeric>

namespace crosscheck {
namespace {

constexpr double kFewCollisions = 10;

double NormalTwoSided(double z) {
  return 2 * cdf(complement(boost::math::normal_distribution<double>(), std::abs(z)));
}

double KolmogorovTail(double lambda) {
  double sum = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2.0 * k * k * lambda * lambda);
    sum += k % 2 == 1 ? term : -term;
    if (term < 1e-18) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

int Bin(double u) { return std::clamp(static_cast<int>(u * kLagBins), 0, kLagBins - 1); }

}  // namespace

double RandomisedTransform(absl::Span<const double> p, int outcome, double v) {
  const double own = p[static_cast<size_t>(outcome)];
  double before = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const bool earlier = p[i] > own || (p[i] == own && static_cast<int>(i) < outcome);
    if (earlier) before += p[i];
  }
  return before + v * own;
}

KolmogorovSmirnov KolmogorovSmirnovTest(std::vector<double> u) {
  std::sort(u.begin(), u.end());
  const auto n = static_cast<double>(u.size());
  KolmogorovSmirnov result;
  if (u.empty()) return result;
  for (size_t i = 0; i < u.size(); ++i) {
    const auto rank = static_cast<double>(i);
    result.distance = std::max({result.distance, (rank + 1) / n - u[i], u[i] - rank / n});
  }
  const double lambda = (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * result.distance;
  // The series does not converge where the tail is 1 to all digits.
  result.p_value = lambda < 0.2 ? 1 : KolmogorovTail(lambda);
  return result;
}

std::vector<int> LagCells(absl::Span<const double> u, int lag) {
  std::vector<int> cells;
  const auto step = static_cast<size_t>(lag);
  // Pairs of blocks of `lag` draws: no draw is in two pairs.
  for (size_t block = 0; block + 2 * step <= u.size(); block += 2 * step) {
    for (size_t i = block; i < block + step; ++i) {
      cells.push_back(kLagBins * Bin(u[i]) + Bin(u[i + step]));
    }
  }
  return cells;
}

TestResult LagTest(absl::Span<const double> u, int lag) {
  constexpr size_t kCells = kLagBins * kLagBins;
  const std::vector<int> cells = LagCells(u, lag);
  if (static_cast<double>(cells.size()) < 5.0 * kCells) return {};
  std::vector<double> observed(kCells);
  for (const int cell : cells) ++observed[static_cast<size_t>(cell)];
  return PearsonTest(observed,
                     std::vector<double>(kCells, static_cast<double>(cells.size()) / kCells));
}

double ExtremeTailTest(absl::Span<const double> u, double epsilon) {
  const auto n = static_cast<int64_t>(u.size());
  const auto below = static_cast<int64_t>(
      std::count_if(u.begin(), u.end(), [epsilon](double value) { return value < epsilon; }));
  return std::min(1.0, 2 * std::min(BinomialUpperTail(below, n, epsilon),
                                    BinomialLowerTail(below, n, epsilon)));
}

Collisions CollisionTest(absl::Span<const int64_t> counts, absl::Span<const double> p) {
  double m = 0, observed = 0, s2 = 0, s3 = 0;
  for (const int64_t count : counts) {
    const auto n = static_cast<double>(count);
    m += n;
    observed += n * (n - 1) / 2;
  }
  for (const double value : p) {
    s2 += value * value;
    s3 += value * value * value;
  }
  Collisions result{observed, m * (m - 1) / 2 * s2, 1};
  const double variance =
      m * (m - 1) / 2 * s2 * (1 - s2) + m * (m - 1) * (m - 2) * std::max(s3 - s2 * s2, 0.0);
  if (m < 2 || 1 - s2 < 1e-12) return result;
  if (result.expected < kFewCollisions) {
    const boost::math::poisson_distribution<double> poisson(result.expected);
    result.p_value = observed < 1 ? 1 : cdf(complement(poisson, observed - 1));
  } else {
    result.p_value = NormalTwoSided((observed - result.expected) / std::sqrt(variance));
  }
  return result;
}

}  // namespace crosscheck
