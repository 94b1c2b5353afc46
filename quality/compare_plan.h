// What a comparison is going to do, before any engine of a configuration is asked.
#ifndef CROSSCHECK_QUALITY_COMPARE_PLAN_H_
#define CROSSCHECK_QUALITY_COMPARE_PLAN_H_

#include <string>

#include "absl/status/status.h"
#include "quality/compare.h"
#include "reference/model_spec.h"

namespace crosscheck::quality {

// Reads model and inputs and chooses how much the reference's dump keeps. Errors are those of the
// files, by name.
absl::Status PrepareComparison(const CompareOptions& options, Comparison& comparison,
                               ModelSpec& spec);

// The engine that `--reference` stands for: "torch" is torch:fp64.
std::string ReferenceEngineOf(const std::string& reference);

// The same model in another precision than the engine that `--reference` stands for.
std::string NoiseEngineOf(const std::string& reference);

// Tokens that the reference generates from a prompt of the forced track.
int LongestRun(const CompareOptions& options);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPARE_PLAN_H_
