// Chi-square tests of counts against a known law, their power, and the effect size that power is
// about (judging.md 8.3, 8.4). No parameter is estimated, so K cells have K-1 degrees of freedom.
//
// The asymptotic tail is not to be trusted at small alpha: these tests screen, e-values decide.
#ifndef CROSSCHECK_PROPERTIES_STATISTICS_GOODNESS_OF_FIT_H_
#define CROSSCHECK_PROPERTIES_STATISTICS_GOODNESS_OF_FIT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace crosscheck {

struct TestResult {
  double statistic = 0;
  int degrees_of_freedom = 0;
  double p_value = 1;
};

// Upper tail of chi-square; 1 for no degrees of freedom.
double ChiSquareTail(double statistic, int degrees_of_freedom);
// The statistic of this upper tail.
double ChiSquareCritical(int degrees_of_freedom, double alpha);

// Sum of (O - E)^2 / E over the cells, which all expect something.
TestResult PearsonTest(absl::Span<const double> observed, absl::Span<const double> expected);
// G = 2 sum of O ln(O / E).
TestResult LikelihoodRatioTest(absl::Span<const double> observed,
                               absl::Span<const double> expected);

// w, the root of the sum of (q - p)^2 / p: the effect size of a biased law q. n draws have the
// non-centrality n w^2.
double EffectSize(absl::Span<const double> p, absl::Span<const double> q);
// Probability that a chi-square test of size alpha rejects at this non-centrality.
double ChiSquarePower(double noncentrality, int degrees_of_freedom, double alpha);
// The non-centrality at which the power is reached.
double NoncentralityFor(double power, int degrees_of_freedom, double alpha);

// P(X >= successes) and P(X <= successes) for X ~ Bin(trials, p), exact.
double BinomialUpperTail(int64_t successes, int64_t trials, double p);
double BinomialLowerTail(int64_t successes, int64_t trials, double p);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_STATISTICS_GOODNESS_OF_FIT_H_
