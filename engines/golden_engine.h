// An engine against goldens: what it answers for the recorded prompts, compared by the fp32 rule.
//
// The engine runs in its own process and loads a private copy of the golden's checkpoint. Logits of
// every path that it offers, NLLs, final hidden states, stages and greedy continuations are
// compared; each recorded tensor that the engine does not serve is listed as skipped with the
// reason. It is not asked about what no op of the protocol names (cache states).
//
// Example:
//   CheckGolden("tests/golden/qwen35-base", {EngineGoldenImplementation("lattice")});
#ifndef CROSSCHECK_ENGINES_GOLDEN_ENGINE_H_
#define CROSSCHECK_ENGINES_GOLDEN_ENGINE_H_

#include <string>

#include "reference/golden.h"

namespace crosscheck {

// `engine`: name, library path or command line (engines/registry.h). An engine that cannot be
// started is an error of CheckGolden; one that crashes, hangs or lies is a failure of the golden.
GoldenImplementation EngineGoldenImplementation(const std::string& engine);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_GOLDEN_ENGINE_H_
