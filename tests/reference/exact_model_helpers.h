// What the tests of the exact model share: an asymmetric specification, prompts, and the error
// between logits.
#ifndef CROSSCHECK_TESTS_REFERENCE_EXACT_MODEL_HELPERS_H_
#define CROSSCHECK_TESTS_REFERENCE_EXACT_MODEL_HELPERS_H_

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "reference/reference_model.h"
#include "tests/small_spec.h"

namespace crosscheck {

inline ModelSpec AsymmetricSpec() {
  ModelSpec spec = SmallSpec();
  spec.layers.push_back(LayerKind::kLinearAttention);
  return spec;
}

inline std::shared_ptr<const Model> MakeWeights(const ModelSpec& spec, uint64_t seed = 5) {
  return std::make_shared<const Model>(GenerateModel({spec, {.seed = seed}}));
}

inline std::unique_ptr<ReferenceModel> Make(std::shared_ptr<const Model> model,
                                            ExactVariant variant = ExactVariant::kFp64) {
  auto made = MakeExactModel(std::move(model), variant);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

inline std::vector<int32_t> Prompt(int length, int vocab) {
  std::vector<int32_t> ids(length);
  for (int i = 0; i < length; ++i) ids[i] = (i * i * 5 + i * 3 + 1) % vocab;
  return ids;
}

inline std::vector<double> Extend(ReferenceSession& session, const ExtendRequest& request) {
  auto logits = session.Extend(request);
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits.ok() ? logits->values : std::vector<double>();
}

inline std::vector<double> Prefill(const ReferenceModel& model, absl::Span<const int32_t> ids) {
  return Extend(*model.NewSession(), {.ids = ids});
}

// Largest difference, relative to the largest magnitude of `expected`; infinite when sizes differ
// or a value is NaN.
inline double RelativeError(const std::vector<double>& actual,
                            const std::vector<double>& expected) {
  if (actual.size() != expected.size()) return INFINITY;
  double difference = 0, magnitude = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double d = std::fabs(actual[i] - expected[i]);
    if (std::isnan(d)) return INFINITY;
    difference = std::max(difference, d);
    magnitude = std::max(magnitude, std::fabs(expected[i]));
  }
  return magnitude == 0 ? difference : difference / magnitude;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_REFERENCE_EXACT_MODEL_HELPERS_H_
