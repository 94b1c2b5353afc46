// What the gates say of a configuration's numbers (quality.md 6).
#ifndef CROSSCHECK_QUALITY_APPLY_GATES_H_
#define CROSSCHECK_QUALITY_APPLY_GATES_H_

#include "quality/gates.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Fills result.gates with one outcome for each gate that names the configuration. A metric that was
// not measured leaves its gate undecided, with the reason. `inputs` has the order in which
// sequential gates look at the prompts; without one they decide as the others.
void ApplyGates(const GateFile& gates, ConfigurationResult& result,
                const Inputs& inputs = Inputs());

// How many prompts the gates of these configurations need to pass with one miss, each at most its
// `max_prompts`, or, where e-values decide, how many they may look at; 0: none asks for more.
int PromptsNeeded(const GateFile& gates, const std::vector<Configuration>& configurations);

// Whether a sequential gate of the configuration is open after the prompts that were run, and there
// are more that it may look at. `matches`: by prompt.
bool NeedsMorePrompts(const GateFile& gates, const std::string& configuration, const Inputs& inputs,
                      const std::vector<PromptMatch>& matches);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_APPLY_GATES_H_
