// Whether draws are independent of each other (judging.md 8.5). A sampler can have the right
// marginal law and still be broken: seeds that are ignored, shared or strided, a stream that
// repeats itself.
#ifndef CROSSCHECK_PROPERTIES_STATISTICS_INDEPENDENCE_H_
#define CROSSCHECK_PROPERTIES_STATISTICS_INDEPENDENCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "properties/statistics/goodness_of_fit.h"

namespace crosscheck {

inline constexpr int kLags = 8;
inline constexpr int kLagBins = 8;

// The randomised probability integral transform of one outcome: the mass of all outcomes that are
// more likely (lower index first among equals) plus the share v of its own. With v uniform on [0,1)
// and independent of the draw it is uniform on [0,1], also when p changes from draw to draw.
double RandomisedTransform(absl::Span<const double> p, int outcome, double v);

// D, the largest distance between the empirical distribution of u and uniform, and its asymptotic
// tail with the finite-sample factor sqrt(n) + 0.12 + 0.11 / sqrt(n).
struct KolmogorovSmirnov {
  double distance = 0, p_value = 1;
};
KolmogorovSmirnov KolmogorovSmirnovTest(std::vector<double> u);

// Non-overlapping pairs (u_t, u_{t+lag}) in kLagBins x kLagBins equal cells, numbered row by row.
std::vector<int> LagCells(absl::Span<const double> u, int lag);
// Pearson's test of those cells against uniform; no degree of freedom when the pairs are too few
// for an expected count of five.
TestResult LagTest(absl::Span<const double> u, int lag);

// Number of u below epsilon against Bin(n, epsilon), the smaller exact tail twice (at most 1): sees
// uniforms of few bits.
double ExtremeTailTest(absl::Span<const double> u, double epsilon);

// Equal pairs among draws of the same law over different seeds, against their expectation
// m(m-1)/2 * sum of p^2. Two-sided, normal approximation; the exact Poisson tail of many collisions
// where fewer than ten are expected. 1 when the law is a point.
struct Collisions {
  double observed = 0, expected = 0, p_value = 1;
};
Collisions CollisionTest(absl::Span<const int64_t> counts, absl::Span<const double> p);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_STATISTICS_INDEPENDENCE_H_
