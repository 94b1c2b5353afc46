// Non-finite policy (judging.md 2, step 2).
#ifndef CROSSCHECK_PROPERTIES_JUDGES_NONFINITE_H_
#define CROSSCHECK_PROPERTIES_JUDGES_NONFINITE_H_

#include <optional>
#include <string_view>

#include "properties/logits.h"
#include "properties/verdict.h"

namespace crosscheck {

// REFERENCE_DRIFT/nonfinite when the exact model has a NaN or infinity anywhere (never a pass),
// else ENGINE_BUG/nonfinite when the engine has one; nothing when both are finite. NaN never equals
// NaN.
std::optional<Verdict> JudgeNonfinite(const LogitsAnswer& exact, const LogitsAnswer& engine,
                                      std::string_view stage);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_NONFINITE_H_
