// Observations as coverage (fuzzing.md 6): what a case showed is turned into ordinary instrumented
// branches, so that every fuzzing engine keeps inputs that come closer to a bound.
#ifndef CROSSCHECK_FUZZ_FEEDBACK_H_
#define CROSSCHECK_FUZZ_FEEDBACK_H_

#include <vector>

#include "properties/property.h"
#include "properties/verdict.h"

namespace crosscheck {

inline constexpr unsigned kFeedbackEdges = 512;

// Coarse buckets of an outcome, each below kFeedbackEdges: verdict kind and near ties of the
// property; for each path and metric the decade of error / bound (the margin) and of the error.
std::vector<unsigned> FeedbackBuckets(const Verdict& verdict);

// Runs the edge of each bucket.
void HitFeedback(const Verdict& verdict);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_FEEDBACK_H_
