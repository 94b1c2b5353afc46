// A failure among many decisions is repeated before it is called (quality.md 6).
#ifndef CROSSCHECK_QUALITY_REPEAT_FAILURES_H_
#define CROSSCHECK_QUALITY_REPEAT_FAILURES_H_

#include <vector>

#include "absl/status/status.h"
#include "quality/compare.h"

namespace crosscheck::quality {

inline constexpr int kDecisionsWithoutRepeat = 20;

// Decisions from a sample of prompts: those on rates and means by the rule "interval". Of so many
// at 5 % one fails by chance.
int SampledDecisions(const GateFile& gates, const std::vector<ConfigurationResult>& results);

// Where there are more than kDecisionsWithoutRepeat: compares the configurations that failed one of
// them again, on as many pieces of the text as there were prompts, none of them looked at before. A
// gate that does not fail there too is undecided. Without a text, or too short a one, a failure
// stays and says so. Gates were applied to the results.
absl::Status RepeatFailures(const CompareOptions& options, Comparison& comparison);

// What the gates of `again` say of those of `result`, which failed on other prompts.
void ConfirmFailures(const GateFile& gates, const ConfigurationResult& again,
                     ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_REPEAT_FAILURES_H_
