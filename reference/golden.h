// Goldens: recorded answers of the original implementation, and whether references reproduce them.
//
// A golden folder holds a checkpoint and expected.safetensors (tests/golden/README.md describes its
// tensors). Every recorded tensor is either compared, used (inputs, and float32 recordings as the
// source of a tolerance) or listed as skipped with a reason; one that is none of these is a
// failure.
#ifndef CROSSCHECK_REFERENCE_GOLDEN_H_
#define CROSSCHECK_REFERENCE_GOLDEN_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"
#include "reference/reference_model.h"

namespace crosscheck {

class GoldenJudge;
class GoldenRecording;

enum class GoldenPrecision { kFp64, kFp32 };

// One implementation to judge. fp64: error at most 1e-9 of the largest magnitude of the recorded
// float64 tensor. fp32: error against the float64 tensor at most 4 times the largest error of the
// recorded float32 run in that kind of tensor.
struct GoldenImplementation {
  std::string name;
  GoldenPrecision precision;
  std::function<absl::StatusOr<std::unique_ptr<ReferenceModel>>(std::shared_ptr<const Model>)> make;
  // In place of `make`, for what is no ReferenceModel (engines/golden_engine.h): reads the folder
  // itself and compares through the judge.
  std::function<absl::Status(const std::string& folder, GoldenRecording&, GoldenJudge&)> check =
      nullptr;
};

// Worst errors of one kind of tensor over all prompts, layers and tensors of that kind.
struct GoldenError {
  double absolute = 0;
  double relative = 0;      // to the largest magnitude of the recorded tensor
  double of_tolerance = 0;  // above 1 is a failure
};

struct GoldenImplementationResult {
  std::string name;
  std::map<std::string, GoldenError> worst;  // by kind: "logits", "decode", "state.recurrent", …
};

struct GoldenSkip {
  std::string tensor;  // empty: the whole golden
  std::string reason;
};

struct GoldenResult {
  std::string name;
  std::vector<GoldenImplementationResult> implementations;
  std::vector<GoldenSkip> skipped;
  std::vector<std::string> failures;
  std::vector<std::string> notes = {};  // what a reader should see and is no failure
  bool judged() const { return !implementations.empty(); }
};

// Errors are those of the folder's files; what an implementation gets wrong is in `failures`. A
// family that does not exist gives a result that is skipped as a whole.
absl::StatusOr<GoldenResult> CheckGolden(const std::string& folder,
                                         absl::Span<const GoldenImplementation> implementations);

// {"goldens": […]} of `golden check`; a golden skipped as a whole has "golden" in place of "tensor"
// in its entry.
nlohmann::json GoldenResultsToJson(absl::Span<const GoldenResult> results);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_GOLDEN_H_
