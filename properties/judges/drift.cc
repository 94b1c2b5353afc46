#include "properties/judges/drift.h"

#include <algorithm>
#include <cmath>

namespace crosscheck {

void DriftTest::Add(const BucketBounds* bucket, double engine_error, double libtorch_error) {
  constexpr double kLeastRate = 0.01, kLargestNull = 0.8;
  if (bucket == nullptr || bucket->torch_cases == 0) return;
  double null = 2 * std::max(kLeastRate, bucket->exceed_rate);
  if (null > kLargestNull) return;
  double drifting = (1 + null) / 2;
  bool exceeds = engine_error > 2 * libtorch_error;
  log_evidence_ += exceeds ? std::log(drifting / null) : std::log((1 - drifting) / (1 - null));
  ++cases_;
  if (log_evidence_ >= -std::log(kAlpha)) flagged_ = true;
}

}  // namespace crosscheck
