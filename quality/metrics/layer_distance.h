// Distances of activations (quality.md 3.9) and of adapted models (3.10).
//
// Cosine is reported and never the verdict alone: a scale error of 57 % has cosine 1, and a few
// large channels hide all others. Relative and added error decide.
#ifndef CROSSCHECK_QUALITY_METRICS_LAYER_DISTANCE_H_
#define CROSSCHECK_QUALITY_METRICS_LAYER_DISTANCE_H_

#include <vector>

#include "absl/types/span.h"
#include "quality/metrics/cluster.h"

namespace crosscheck::quality {

// Of one (layer, stage) over positions; sums in fp64.
class LayerDistance {
 public:
  // One position, both [dimension]. A vector of norm 0 has no direction: it is counted, no more.
  void Add(absl::Span<const double> reference, absl::Span<const double> candidate);
  void Add(absl::Span<const float> reference, absl::Span<const float> candidate);

  struct Result {
    double cosine_mean = 0, cosine_least = 0, cosine_q01 = 0;
    double relative_mean = 0, relative_q99 = 0, relative_largest = 0;  // |a - b| / |a|
    int positions = 0, zero_norms = 0;
  };
  // NaN where no position has a direction.
  Result Summary() const;

 private:
  template <class Float>
  void AddRow(absl::Span<const Float> a, absl::Span<const Float> b);

  std::vector<double> cosines_, relative_;
  int zero_norms_ = 0;
};

// 1 / sqrt(1 + r^2): the cosine of an error of relative size r at a right angle to the signal.
double CosineOfRelativeError(double relative);
// The least cosine that a stage may have whose format makes errors of relative size `expected`: the
// usual fixed thresholds do not fit every format.
inline constexpr double kCosineMultiplier = 2;
inline double CosineThreshold(double expected) {
  return CosineOfRelativeError(kCosineMultiplier * expected);
}

// Mean KL(adapted reference || adapted engine) over mean KL(adapted reference || base reference),
// position by position: 0 where the adapter is applied, 1 where it is ignored. The interval is a
// cluster bootstrap over prompts.
struct EffectRatio {
  double ratio = 0;
  Interval interval;
  bool hardly_applied() const { return ratio >= 0.5; }
};
// One cluster for each prompt, in the same order. NaN where the adapter has no effect.
EffectRatio AdapterEffect(absl::Span<const Cluster> engine, absl::Span<const Cluster> base,
                          double confidence, Stream stream);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_LAYER_DISTANCE_H_
