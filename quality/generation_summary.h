// What two sides generated: greedy match, first divergences, near ties (quality.md 3.4).
#ifndef CROSSCHECK_QUALITY_GENERATION_SUMMARY_H_
#define CROSSCHECK_QUALITY_GENERATION_SUMMARY_H_

#include "absl/status/status.h"
#include "quality/dump.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Adds the prompts beyond those that `matches` has, as far as the candidate's dump goes. A first
// divergence is a near tie where the reference's logit of the chosen token is within twice the
// allowed error of its best. `divergences` may be null.
absl::Status MatchPrompts(DumpReader& reference, DumpReader& candidate, const SummaryInputs& inputs,
                          std::vector<PromptMatch>& matches,
                          std::vector<GreedyDivergence>* divergences);

// Metrics greedy_match_10 and …_50 with their margin-aware forms, divergences and their histogram.
// Nothing where the candidate generated nothing.
absl::Status SummariseGreedy(DumpReader& reference, DumpReader& candidate,
                             const SummaryInputs& inputs, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_GENERATION_SUMMARY_H_
