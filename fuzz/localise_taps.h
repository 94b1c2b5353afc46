// What an engine taps of a case, and the added error of every stage on a generated model
// (properties/judges/stage_errors.h).
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
#include "properties/judges/stage_errors.h"
#include "reference/weights.h"

namespace crosscheck {

// What the engine taps on these tokens, its logits as (-1, "logits"). Unimplemented: it has no
// taps. FailedPrecondition: it answers other logits when it taps (judging.md 5.5).
absl::StatusOr<Tapped> TapEngine(const std::shared_ptr<const ModelRecipe>& model,
                                 const std::vector<int32_t>& ids, Executor& executor);

absl::StatusOr<StageLadder> StageErrors(const ModelRecipe& model, const std::vector<int32_t>& ids,
                                        const Tapped& engine);

// Of an engine that taps neither: whether its final norm is wrong, so that the head need not be,
// by its answer to `hidden`. That may come from another path, hence errors here are those of the
// whole model and not of a stage. Nothing: it has no `hidden`.
std::optional<bool> FinalNormIsBad(const std::shared_ptr<const ModelRecipe>& model,
                                   const std::vector<int32_t>& ids, Executor& executor);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_LOCALISE_TAPS_H_
