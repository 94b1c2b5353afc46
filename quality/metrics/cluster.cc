#include "quality/metrics/cluster.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "quality/metrics/compensated_sum.h"
#include "quality/metrics/quantile.h"

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Interval Around(const MeanEstimate& estimate, double probability) {
  if (!std::isfinite(estimate.standard_error)) return {-kInfinity, kInfinity};
  const double half = StudentQuantile(probability, estimate.clusters - 1) * estimate.standard_error;
  return {estimate.mean - half, estimate.mean + half};
}

}  // namespace

Cluster ClusterOf(absl::Span<const double> values) {
  CompensatedSum sum;
  for (const double value : values) sum += value;
  return {sum.value(), static_cast<double>(values.size())};
}

MeanEstimate EstimateMean(absl::Span<const Cluster> clusters) {
  CompensatedSum sum, count;
  MeanEstimate estimate;
  for (const Cluster& cluster : clusters) {
    sum += cluster.sum;
    count += cluster.count;
    estimate.clusters += cluster.count > 0;
  }
  if (estimate.clusters == 0) return {kNan, kInfinity, 0};
  estimate.mean = sum.value() / count.value();
  if (estimate.clusters == 1) {
    estimate.standard_error = kInfinity;
    return estimate;
  }
  double squares = 0;
  for (const Cluster& cluster : clusters) {
    const double residual = cluster.sum - estimate.mean * cluster.count;
    squares += residual * residual;
  }
  const double m = estimate.clusters;
  estimate.standard_error = std::sqrt(m / (m - 1) * squares) / count.value();
  return estimate;
}

MeanEstimate EstimateIndependent(absl::Span<const double> values) {
  std::vector<Cluster> clusters;
  clusters.reserve(values.size());
  for (const double value : values) clusters.push_back({value, 1});
  return EstimateMean(clusters);
}

double StudentQuantile(double probability, int degrees_of_freedom) {
  return quantile(boost::math::students_t(degrees_of_freedom), probability);
}

Interval MeanInterval(const MeanEstimate& estimate, double confidence) {
  return Around(estimate, (1 + confidence) / 2);
}

Interval OneSidedLimits(const MeanEstimate& estimate, double confidence) {
  return Around(estimate, confidence);
}

Interval BootstrapInterval(int clusters,
                           const std::function<double(absl::Span<const int>)>& statistic,
                           double confidence, Stream stream, int resamples) {
  std::vector<double> values;
  std::vector<int> indices(static_cast<size_t>(clusters));
  for (int r = 0; clusters > 0 && r < resamples; ++r) {
    for (int& index : indices) index = static_cast<int>(stream.Int(0, clusters - 1));
    const double value = statistic(indices);
    if (std::isfinite(value)) values.push_back(value);
  }
  std::sort(values.begin(), values.end());
  return {QuantileOfSorted(values, (1 - confidence) / 2),
          QuantileOfSorted(values, (1 + confidence) / 2)};
}

}  // namespace crosscheck::quality
