// Uncertainty of means over positions (quality.md 3.2). Positions of one prompt depend on each
// other, so the unit is the prompt (for text: the document, else the window): intervals that take
// positions as independent cover a third of what they claim.
//
// A difference of two configurations is the estimate of the metric of the difference, position by
// position; never the difference of two intervals.
//
// Example:
//   std::vector<Cluster> clusters;             // one for each prompt
//   for (const Prompt& p : prompts) clusters.push_back(ClusterOf(p.kl));
//   const MeanEstimate kl = EstimateMean(clusters);
//   const Interval interval = MeanInterval(kl, 0.95);
#ifndef CROSSCHECK_QUALITY_METRICS_CLUSTER_H_
#define CROSSCHECK_QUALITY_METRICS_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/types/span.h"
#include "properties/stream.h"

namespace crosscheck::quality {

// The positions of one prompt: the sum of their values and how many there are.
struct Cluster {
  double sum = 0;
  double count = 0;
};
Cluster ClusterOf(absl::Span<const double> values);

inline constexpr int kFewestClusters = 10;  // below, an interval is printed as "few clusters"

struct MeanEstimate {
  double mean = 0;            // sum of sums / sum of counts; NaN without positions
  double standard_error = 0;  // infinite for fewer than two clusters
  int clusters = 0;           // those with a position

  bool few_clusters() const { return clusters < kFewestClusters; }
};
// The ratio estimator: se^2 = m/(m-1) sum (S_i - R N_i)^2 / (sum N_i)^2.
MeanEstimate EstimateMean(absl::Span<const Cluster> clusters);
// The same with every value as a cluster of its own.
MeanEstimate EstimateIndependent(absl::Span<const double> values);

struct Interval {
  double lower = 0, upper = 0;
};
// mean -+ t_{m-1} se, two-sided: each limit fails with probability (1 - confidence) / 2.
Interval MeanInterval(const MeanEstimate& estimate, double confidence);
// Both limits one-sided: each fails with probability 1 - confidence.
Interval OneSidedLimits(const MeanEstimate& estimate, double confidence);
// Quantile of Student's t with that many degrees of freedom, at least 1.
double StudentQuantile(double probability, int degrees_of_freedom);

inline constexpr int kResamples = 2000;

// Percentile interval of a statistic that is no mean (quantile, ratio, BLEU) over resamples of the
// clusters with replacement. `statistic` gets the indices of one resample, [clusters]; values that
// are not finite are left out. Draws come from `stream` alone.
Interval BootstrapInterval(int clusters,
                           const std::function<double(absl::Span<const int>)>& statistic,
                           double confidence, Stream stream, int resamples = kResamples);
// Several statistics of the same resamples, which `statistics` writes to its second argument,
// [count].
std::vector<Interval> BootstrapIntervals(
    int clusters, int count,
    const std::function<void(absl::Span<const int>, absl::Span<double>)>& statistics,
    double confidence, Stream stream, int resamples = kResamples);

// Values with the cluster that each belongs to, for intervals of their quantiles.
class ClusteredValues {
 public:
  void Add(int cluster, double value) { values_.push_back({value, cluster}); }
  std::vector<double> values() const;
  // One for each fraction in 0 … 1, of quantiles as QuantileOfSorted has them. A resample takes all
  // values of its clusters; clusters are 0 … clusters - 1.
  std::vector<Interval> QuantileIntervals(const std::vector<double>& fractions, int clusters,
                                          double confidence, const Stream& stream,
                                          int resamples = kResamples) const;

 private:
  class Resample;
  struct Value {
    double value;
    int cluster;
  };
  std::vector<Value> values_;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_CLUSTER_H_
