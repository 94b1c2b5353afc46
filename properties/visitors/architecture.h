// Cases whose models have the architecture of a given checkpoint, scaled down to the limits: the
// ratios of its config.json (heads per kv head, value heads per key head, head_dim to hidden, …),
// its layer pattern, kernel, tying, and the nearest rope theta and epsilon that cases can hold.
//
// Sizes themselves stay random. A ratio that does not fit (4,096 : 1 in 44 channels) gives the
// nearest value that does.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_ARCHITECTURE_H_
#define CROSSCHECK_PROPERTIES_VISITORS_ARCHITECTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "properties/subject.h"
#include "reference/model_spec.h"

namespace crosscheck {

// The case with its model brought to the architecture of `like`; a case without a model stays as it
// is. Deterministic: depends on its arguments only.
Case WithArchitecture(const Case& c, const ModelSpec& like, const Limits& limits);

// What is kept, as name and value, for reports: {"heads:kv_heads", "4:2"}, {"layers", "linear
// linear full"}, ….
std::vector<std::pair<std::string, std::string>> DescribeArchitecture(const ModelSpec& like);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_ARCHITECTURE_H_
