#include "quality/metrics/layer_distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "quality/metrics/quantile.h"

namespace crosscheck::quality {

template <class Float>
void LayerDistance::AddRow(absl::Span<const Float> a, absl::Span<const Float> b) {
  double product = 0, a_square = 0, b_square = 0, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    product += x * y;
    a_square += x * x;
    b_square += y * y;
    difference += (x - y) * (x - y);
  }
  if (a_square == 0 || b_square == 0) {
    ++zero_norms_;
    return;
  }
  if (!std::isfinite(difference)) {  // as far away as can be, never left out
    cosines_.push_back(-1);
    relative_.push_back(std::numeric_limits<double>::infinity());
    return;
  }
  cosines_.push_back(product / (std::sqrt(a_square) * std::sqrt(b_square)));
  relative_.push_back(std::sqrt(difference / a_square));
}

void LayerDistance::Add(absl::Span<const double> reference, absl::Span<const double> candidate) {
  AddRow(reference, candidate);
}
void LayerDistance::Add(absl::Span<const float> reference, absl::Span<const float> candidate) {
  AddRow(reference, candidate);
}

LayerDistance::Result LayerDistance::Summary() const {
  Result result{.positions = static_cast<int>(cosines_.size()), .zero_norms = zero_norms_};
  const Distribution relative = DistributionOf(relative_);
  result.cosine_mean = DistributionOf(cosines_).mean;
  result.cosine_least = Quantile(cosines_, 0);
  result.cosine_q01 = Quantile(cosines_, 0.01);
  result.relative_mean = relative.mean;
  result.relative_q99 = relative.q99;
  result.relative_largest = relative.max;
  return result;
}

double CosineOfRelativeError(double relative) { return 1 / std::hypot(1.0, relative); }

EffectRatio AdapterEffect(absl::Span<const Cluster> engine, absl::Span<const Cluster> base,
                          double confidence, Stream stream) {
  // Both means are over the same positions, so that their counts cancel.
  const auto ratio = [&](absl::Span<const int> indices) {
    double numerator = 0, denominator = 0;
    for (const int i : indices) numerator += engine[i].sum, denominator += base[i].sum;
    return denominator > 0 ? numerator / denominator : std::numeric_limits<double>::quiet_NaN();
  };
  std::vector<int> all(engine.size());
  std::iota(all.begin(), all.end(), 0);
  EffectRatio effect;
  effect.ratio = ratio(all);
  effect.interval = BootstrapInterval(static_cast<int>(all.size()), ratio, confidence, stream);
  return effect;
}

}  // namespace crosscheck::quality
