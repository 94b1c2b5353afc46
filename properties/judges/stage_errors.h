// The added error of every stage that an engine taps, by swap-in (judging.md 5.3).
//
// One pass of the exact model over the tokens: at every stage that the engine taps it computes what
// is right for the inputs that the engine had, and then goes on with what the engine had computed.
// So the error of a stage is its own, and none of what earlier ones did. The fp32 variants of the
// exact model, also on nudged weights, do the same and give the stage's bound, that of
// reference/error_bound.h: 2 * 3 * (their largest error) + 2 units in the last place.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_STAGE_ERRORS_H_
#define CROSSCHECK_PROPERTIES_JUDGES_STAGE_ERRORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "reference/weights.h"

namespace crosscheck {

// Values by layer (-1: outside the layers) and stage, in the names of the goldens.
using Tapped = std::map<std::pair<int, std::string>, std::vector<double>>;

// "L03.attn.v" is (3, "attn.v"), "embedding" is (-1, "embedding").
std::pair<int, std::string> ParseTapName(const std::string& name);

// One stage of the engine on its own inputs against the exact model on the same.
struct StageError {
  int layer = -1;                     // -1: outside the layers
  std::string stage;                  // a name of the table in stage_names.cc
  double added_error = 0, bound = 0;  // largest absolute difference
  double ratio = 0;  // of error and bound, of the metric that is worse (see StageErrors)
  bool bad() const { return !(ratio <= 1); }
};

// A tap of another size than the model's: it is not judged, the next stage answers for it.
struct Misfit {
  int layer;
  std::string text;
};

struct StageLadder {
  // One entry for each stage, in the order of computation, up to the first at which the engine's
  // own values make the exact model not finite. A value that is not finite has an infinite error.
  // The ratio is the larger one of those of largest error and RMS.
  std::vector<StageError> stages;
  std::vector<Misfit> misfits;
};

// The model with its weights nudged by this number (reference/nudge.h); 0: as they are.
using NudgedModel = std::function<std::shared_ptr<const Model>(int nudge)>;

absl::StatusOr<StageLadder> StageErrors(const NudgedModel& model, const std::vector<int32_t>& ids,
                                        const Tapped& engine);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_STAGE_ERRORS_H_
