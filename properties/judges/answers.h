// Logits of a reply, or the verdict that there are none to judge.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_ANSWERS_H_
#define CROSSCHECK_PROPERTIES_JUDGES_ANSWERS_H_

#include <optional>
#include <string_view>

#include "properties/logits.h"
#include "properties/property.h"

namespace crosscheck {

// The engine's answer to `c` on its path: a failure, a lie, or UNSUPPORTED where the counters do
// not prove that the path ran.
std::optional<Verdict> ReadEngineLogits(const Reply& reply, const ModelRunCase& c,
                                        std::string_view stage, LogitsAnswer& answer);

// The exact model's answer to ExactRequest(c).
std::optional<Verdict> ReadExactLogits(const Reply& reply, const ModelRunCase& c,
                                       std::string_view stage, LogitsAnswer& exact);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_ANSWERS_H_
