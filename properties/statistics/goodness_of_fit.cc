#include "properties/statistics/goodness_of_fit.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/non_central_chi_squared.hpp>
#include <cmath>

namespace crosscheck {
namespace {

namespace policies = boost::math::policies;
// Arguments at the edge of a domain give the limit instead of an exception.
using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>>;
using ChiSquared = boost::math::chi_squared_distribution<double, Quiet>;
using NonCentral = boost::math::non_central_chi_squared_distribution<double, Quiet>;
using Binomial = boost::math::binomial_distribution<double, Quiet>;

TestResult Result(double statistic, size_t cells) {
  const int df = std::max(static_cast<int>(cells) - 1, 0);
  return {statistic, df, ChiSquareTail(statistic, df)};
}

}  // namespace

double ChiSquareTail(double statistic, int degrees_of_freedom) {
  if (degrees_of_freedom <= 0 || !(statistic > 0)) return 1;
  return cdf(complement(ChiSquared(degrees_of_freedom), statistic));
}

double ChiSquareCritical(int degrees_of_freedom, double alpha) {
  if (degrees_of_freedom <= 0) return 0;
  return quantile(complement(ChiSquared(degrees_of_freedom), alpha));
}

TestResult PearsonTest(absl::Span<const double> observed, absl::Span<const double> expected) {
  double sum = 0;
  for (size_t i = 0; i < observed.size(); ++i) {
    sum += (observed[i] - expected[i]) * (observed[i] - expected[i]) / expected[i];
  }
  return Result(sum, observed.size());
}

TestResult LikelihoodRatioTest(absl::Span<const double> observed,
                               absl::Span<const double> expected) {
  double sum = 0;
  for (size_t i = 0; i < observed.size(); ++i) {
    if (observed[i] > 0) sum += 2 * observed[i] * std::log(observed[i] / expected[i]);
  }
  return Result(sum, observed.size());
}

double EffectSize(absl::Span<const double> p, absl::Span<const double> q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0) sum += (q[i] - p[i]) * (q[i] - p[i]) / p[i];
  }
  return std::sqrt(sum);
}

double ChiSquarePower(double noncentrality, int degrees_of_freedom, double alpha) {
  const double critical = ChiSquareCritical(degrees_of_freedom, alpha);
  return cdf(complement(NonCentral(degrees_of_freedom, noncentrality), critical));
}

double NoncentralityFor(double power, int degrees_of_freedom, double alpha) {
  const double critical = ChiSquareCritical(degrees_of_freedom, alpha);
  return NonCentral::find_non_centrality(degrees_of_freedom, critical, 1 - power);
}

double BinomialUpperTail(int64_t successes, int64_t trials, double p) {
  if (successes <= 0) return 1;
  if (p <= 0 || successes > trials) return 0;
  if (p >= 1) return 1;
  return cdf(
      complement(Binomial(static_cast<double>(trials), p), static_cast<double>(successes - 1)));
}

double BinomialLowerTail(int64_t successes, int64_t trials, double p) {
  if (successes < 0) return 0;
  if (p <= 0 || successes >= trials) return 1;
  if (p >= 1) return 0;
  return cdf(Binomial(static_cast<double>(trials), p), static_cast<double>(successes));
}

}  // namespace crosscheck
