// What `logit_closeness` sees: the share of cases in which a planted error of a known size is a
// finding.
//
// The answers are libtorch's in fp32 with an error added; the judge is the property itself, with
// libtorch not available to it as a reference. Measured like false alarms, case by case and bucket
// by bucket.
#ifndef CROSSCHECK_PROPERTIES_SENSITIVITY_H_
#define CROSSCHECK_PROPERTIES_SENSITIVITY_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/message.h"
#include "properties/limits.h"
#include "reference/error_bound.h"

namespace crosscheck {

enum class PlantedAt { kOneLogit, kOnePosition, kAllPositions };
inline constexpr std::string_view kPlantedAtNames[] = {"logit", "position", "all"};
inline constexpr std::array<double, 7> kPlantedFactors = {1, 2, 3, 5, 10, 30, 100};

// Adds an error to the F32 tensors of a `logits` answer. Its centred L-inf is `size`; place and
// signs are a function of `seed`.
void PlantError(Message& answer, PlantedAt where, double size, uint64_t seed);

struct Detections {
  int64_t cases = 0;
  std::array<int64_t, kPlantedFactors.size()> findings{};
  bool operator==(const Detections&) const = default;
};

struct DetectionCurve {
  std::map<std::pair<BucketKey, PlantedAt>, Detections> rows;
  std::vector<std::string> provenance;

  // Tab-separated: bucket, place, cases, then the share of findings at each factor.
  std::string Print() const;
};

struct SensitivityOptions {
  uint64_t seed = 2;  // apart from calibration's
  int64_t cases_per_bucket = 200;
  int threads = 1;
  // Of the dense families: what lies behind a router's near tie is not judged, so a mixture has no
  // share of detected errors that the bound alone decides.
  Limits limits = {.chunked_prefill = true,
                   .families = 1u << static_cast<uint32_t>(Family::kQwen35) |
                               1u << static_cast<uint32_t>(Family::kLlama)};
  std::vector<std::string> provenance;
  std::function<void(int64_t done, int64_t total)> progress;  // called from one thread at a time
};

// The unit of a planted error is the case's own reference error: the largest centred L-inf of the
// four fp32 references, or the bucket's typical one where all of them happen to be closer (often
// exact) on that case. Errors: a reference cannot be opened or fails.
absl::StatusOr<DetectionCurve> MeasureSensitivity(const SensitivityOptions& options);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SENSITIVITY_H_
