// What the tests of the libtorch reference share: making models, running sessions, comparing,
// recording taps.
#ifndef CROSSCHECK_TESTS_REFERENCE_TORCH_TEST_UTIL_H_
#define CROSSCHECK_TESTS_REFERENCE_TORCH_TEST_UTIL_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "reference/reference_model.h"

namespace crosscheck {

inline std::unique_ptr<ReferenceModel> Torch(std::shared_ptr<const Model> model,
                                             TorchPrecision precision = TorchPrecision::kFp64) {
  auto torch = MakeTorchModel(std::move(model), precision);
  EXPECT_TRUE(torch.ok()) << torch.status();
  return torch.ok() ? *std::move(torch) : nullptr;
}

inline std::vector<double> LogitsOf(ReferenceSession& session, absl::Span<const int32_t> ids,
                                    absl::Span<const uint8_t> mask = {}, TapSink* taps = nullptr) {
  auto logits = session.Extend({.ids = ids, .mask = mask, .taps = taps});
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits.ok() ? logits->values : std::vector<double>{};
}

// Infinite when the sizes differ or a value is NaN.
inline double LargestDifference(absl::Span<const double> a, absl::Span<const double> b) {
  if (a.size() != b.size() || a.empty()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

// Largest difference over the largest magnitude of b.
inline double RelativeDifference(absl::Span<const double> a, absl::Span<const double> b) {
  double scale = 0;
  for (const double x : b) scale = std::max(scale, std::abs(x));
  return LargestDifference(a, b) / std::max(scale, 1e-12);
}

// Keeps what it is shown as "layer<i>.<stage>".
class Recorder : public TapSink {
 public:
  bool Wants(int layer, std::string_view) const override { return layer != unwanted_layer; }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> shape,
           std::vector<double> values) override {
    const std::string name = "layer" + std::to_string(layer) + "." + std::string(stage);
    tensors[name] = MakeTensor(name, std::move(shape), absl::MakeConstSpan(values));
  }
  int unwanted_layer = -2;
  std::map<std::string, Tensor> tensors;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_REFERENCE_TORCH_TEST_UTIL_H_
