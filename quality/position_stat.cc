#include "quality/position_stat.h"

#include <cmath>
#include <limits>

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Float>
PositionStat Extremes(absl::Span<const Float> logits) {
  PositionStat stat{.max = -kInfinity, .second = -kInfinity, .argmax = -1};
  for (size_t i = 0; i < logits.size(); ++i) {
    const double logit = logits[i];
    if (!std::isfinite(logit)) {
      stat.nan_count += std::isnan(logit);
      stat.positive_infinities += logit == kInfinity;
      stat.negative_infinities += logit == -kInfinity;
    } else if (logit > stat.max) {
      stat.second = stat.max;
      stat.max = logit;
      stat.argmax = static_cast<double>(i);
      stat.ties = 0;
    } else {
      stat.ties += logit == stat.max;
      if (logit > stat.second) {
        stat.second = logit;
      }
    }
  }
  return stat;
}

template <class Float>
PositionStat Compute(absl::Span<const Float> logits, int64_t target) {
  PositionStat stat = Extremes(logits);
  double sum = 0, weighted = 0;  // of e^(z - max) and of e^(z - max) (z - max)
  for (const Float logit : logits) {
    if (std::isfinite(logit)) {
      const double centred = logit - stat.max;
      const double term = std::exp(centred);
      sum += term;
      weighted += term * centred;
    }
  }
  stat.lse = stat.max + std::log(sum);
  stat.entropy = sum > 0 ? std::log(sum) - weighted / sum : 0;
  stat.target_logprob = target >= 0 && target < static_cast<int64_t>(logits.size())
                            ? logits[target] - stat.lse
                            : std::numeric_limits<double>::quiet_NaN();
  return stat;
}

}  // namespace

void Append(const PositionStat& stat, std::vector<double>& values) {
  values.insert(values.end(), {stat.lse, stat.max, stat.second, stat.argmax, stat.ties,
                               stat.entropy, stat.target_logprob, stat.nan_count,
                               stat.positive_infinities, stat.negative_infinities});
}

PositionStat StatOf(absl::Span<const float> logits, int64_t target) {
  return Compute(logits, target);
}

PositionStat StatOf(absl::Span<const double> logits, int64_t target) {
  return Compute(logits, target);
}

}  // namespace crosscheck::quality
