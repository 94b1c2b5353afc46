#include "quality/metrics/cluster.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>

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
  return BootstrapIntervals(
      clusters, 1,
      [&](absl::Span<const int> indices, absl::Span<double> out) { out[0] = statistic(indices); },
      confidence, stream, resamples)[0];
}

std::vector<Interval> BootstrapIntervals(
    int clusters, int count,
    const std::function<void(absl::Span<const int>, absl::Span<double>)>& statistics,
    double confidence, Stream stream, int resamples) {
  std::vector<std::vector<double>> values(static_cast<size_t>(count));
  std::vector<int> indices(static_cast<size_t>(clusters));
  std::vector<double> row(static_cast<size_t>(count));
  for (int r = 0; clusters > 0 && r < resamples; ++r) {
    for (int& index : indices) index = static_cast<int>(stream.Int(0, clusters - 1));
    statistics(indices, absl::MakeSpan(row));
    for (size_t i = 0; i < row.size(); ++i) {
      if (std::isfinite(row[i])) values[i].push_back(row[i]);
    }
  }
  std::vector<Interval> intervals;
  for (std::vector<double>& column : values) {
    std::sort(column.begin(), column.end());
    intervals.push_back({QuantileOfSorted(column, (1 - confidence) / 2),
                         QuantileOfSorted(column, (1 + confidence) / 2)});
  }
  return intervals;
}

std::vector<double> ClusteredValues::values() const {
  std::vector<double> values;
  values.reserve(values_.size());
  for (const Value& v : values_) values.push_back(v.value);
  return values;
}

// Quantiles of resamples: the values are sorted once, a resample only counts them.
class ClusteredValues::Resample {
 public:
  Resample(const std::vector<Value>& values, int clusters)
      : descending_(values), sizes_(static_cast<size_t>(clusters)) {
    std::sort(descending_.begin(), descending_.end(),
              [](const Value& a, const Value& b) { return a.value > b.value; });
    for (const Value& v : descending_) ++sizes_[static_cast<size_t>(v.cluster)];
  }

  void Take(absl::Span<const int> clusters) {
    times_.assign(sizes_.size(), 0);
    count_ = 0;
    for (const int i : clusters) ++times_[static_cast<size_t>(i)], count_ += sizes_[i];
    place_ = 0;
    above_ = count_;
    below_ = count_;
  }

  // Fractions come largest first.
  double Quantile(double fraction) {
    if (count_ == 0) return kNan;
    const double rank = fraction * static_cast<double>(count_ - 1);
    const auto below = static_cast<int64_t>(rank);
    if (below != below_) {
      high_ = ValueAt(std::min(below + 1, count_ - 1));
      low_ = ValueAt(below);
      below_ = below;
    }
    return low_ + (rank - static_cast<double>(below)) * (high_ - low_);
  }

 private:
  double ValueAt(int64_t rank) {
    while (above_ > rank) above_ -= times_[static_cast<size_t>(descending_[place_++].cluster)];
    return descending_[place_ - 1].value;
  }

  std::vector<Value> descending_;
  std::vector<int64_t> sizes_, times_;  // of each cluster: its values, how often it was taken
  int64_t count_ = 0, above_ = 0;       // of the resample: values, those before place_ not counted
  size_t place_ = 0;
  int64_t below_ = 0;  // rank of low_
  double low_ = 0, high_ = 0;
};

std::vector<Interval> ClusteredValues::QuantileIntervals(const std::vector<double>& fractions,
                                                         int clusters, double confidence,
                                                         const Stream& stream,
                                                         int resamples) const {
  std::vector<size_t> from_largest(fractions.size());
  std::iota(from_largest.begin(), from_largest.end(), 0);
  std::sort(from_largest.begin(), from_largest.end(),
            [&](size_t a, size_t b) { return fractions[a] > fractions[b]; });
  Resample resample(values_, clusters);
  const auto quantiles = [&](absl::Span<const int> indices, absl::Span<double> out) {
    resample.Take(indices);
    for (const size_t f : from_largest) out[f] = resample.Quantile(fractions[f]);
  };
  return BootstrapIntervals(clusters, static_cast<int>(fractions.size()), quantiles, confidence,
                            stream, resamples);
}

}  // namespace crosscheck::quality
