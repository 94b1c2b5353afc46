// The added error of every stage that an engine taps, by swap-in (judging.md 5.3).
//
// One pass of the exact model over the tokens: at every stage that the engine taps it computes what
// is right for the inputs that the engine had, and then goes on with what the engine had computed.
// So the error of a stage is its own, and none of what earlier ones did. The fp32 variants of the
// exact model, also on nudged weights, do the same and give the stage's bound, that of
// reference/error_bound.h: 2 * 3 * (their largest error) + 2 units in the last place.
#ifndef CROSSCHECK_FUZZ_LOCALISE_TAPS_H_
#define CROSSCHECK_FUZZ_LOCALISE_TAPS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/executor.h"
#include "fuzz/localise.h"
#include "reference/weights.h"

namespace crosscheck {

// Values by layer (-1: outside the layers) and stage, in the names of the goldens.
using Tapped = std::map<std::pair<int, std::string>, std::vector<double>>;

// What the engine taps on these tokens, its logits as (-1, "logits"). Unimplemented: it has no
// taps. FailedPrecondition: it answers other logits when it taps (judging.md 5.5).
absl::StatusOr<Tapped> TapEngine(const std::shared_ptr<const ModelRecipe>& model,
                                 const std::vector<int32_t>& ids, Executor& executor);

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
absl::StatusOr<StageLadder> StageErrors(const ModelRecipe& model, const std::vector<int32_t>& ids,
                                        const Tapped& engine);

// Of an engine that taps neither: whether its final norm is wrong, so that the head need not be,
// by its answer to `hidden`. That may come from another path, hence errors here are those of the
// whole model and not of a stage. Nothing: it has no `hidden`.
std::optional<bool> FinalNormIsBad(const std::shared_ptr<const ModelRecipe>& model,
                                   const std::vector<int32_t>& ids, Executor& executor);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_LOCALISE_TAPS_H_
