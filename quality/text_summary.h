// What two sides' generated texts say (quality.md 3.6).
#ifndef CROSSCHECK_QUALITY_TEXT_SUMMARY_H_
#define CROSSCHECK_QUALITY_TEXT_SUMMARY_H_

#include "absl/status/status.h"
#include "quality/dump.h"
#include "quality/summary.h"

namespace crosscheck::quality {

// Metrics token_match, edit_distance, excess_nll, and where a tokenizer makes text of ids, bleu and
// garbled_share, of the greedy continuations. Nothing where the candidate generated nothing.
absl::Status SummariseTexts(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_TEXT_SUMMARY_H_
