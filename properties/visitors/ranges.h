// Which fields of a case had less room than they would have had for an engine that serves
// everything: engine narrowing made countable.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_RANGES_H_
#define CROSSCHECK_PROPERTIES_VISITORS_RANGES_H_

#include <string>
#include <vector>

#include "properties/subject.h"

namespace crosscheck {

// The default space for an engine that serves everything: what NarrowLimits (fuzz/executor.h) takes
// away is measured against it.
inline constexpr Limits kEverythingServed{
    .masks = true, .chunked_prefill = true, .reduced_storage = true};

// Names of the fields (without their groups, each once, sorted) whose range under `limits` is
// smaller than under `open`, given the values of the fields before them. Empty when the limits are
// equal.
std::vector<std::string> NarrowedFields(const Case& c, const Limits& limits, const Limits& open);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_RANGES_H_
