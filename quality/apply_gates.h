// What the gates say of a configuration's numbers (quality.md 6).
#ifndef CROSSCHECK_QUALITY_APPLY_GATES_H_
#define CROSSCHECK_QUALITY_APPLY_GATES_H_

#include "quality/gates.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Fills result.gates with one outcome for each gate that names the configuration. A metric that was
// not measured leaves its gate undecided, with the reason.
void ApplyGates(const GateFile& gates, ConfigurationResult& result);

// How many prompts the gates of these configurations need to pass with one miss, each at most its
// `max_prompts`; 0: none asks for more.
int PromptsNeeded(const GateFile& gates, const std::vector<Configuration>& configurations);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_APPLY_GATES_H_
