// Whether an engine takes another token more often than rounding explains (judging.md 4.4): near
// ties are excused one by one and tested as a population.
#ifndef CROSSCHECK_QUALITY_FLIPS_H_
#define CROSSCHECK_QUALITY_FLIPS_H_

#include "absl/status/status.h"
#include "quality/dump.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Metrics of the forced track: near_ties (prompts whose least margin rounding may turn), flips
// (those where it was turned) and flips_p_value, the exact chance of as many by legal rounding. One
// position of each prompt, as neighbours depend on each other. Means little of an engine whose
// weights are other ones.
absl::Status SummariseFlips(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_FLIPS_H_
