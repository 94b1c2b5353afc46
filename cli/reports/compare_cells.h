// How the reports of `crosscheck compare` write one number, verdict or place.
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_

#include <string>

#include "quality/compare.h"

namespace crosscheck {

std::string VerdictWord(quality::GateVerdict verdict);  // "PASS"
// Null where it was not measured; the functions below then write "–".
const quality::Estimate* FindMetric(const quality::ConfigurationResult& result,
                                    const std::string& metric);
std::string IntervalText(const quality::Estimate* estimate);  // "1.2e-05 [9.0e-06, 1.6e-05]"
std::string RateText(const quality::Estimate* estimate);      // "299/300"
std::string ShareText(const quality::Estimate* estimate);     // "99.70 %"
// The stage with the least cosine: "L03 attention (cosine 0.99912)".
std::string WorstLayerText(const quality::ConfigurationResult& result);
// Files of the model, tokenizer, prompts, reference and build, with hashes cut to 12 characters.
std::string IdentityText(const quality::Comparison& comparison);
// Questions and requests of a task, its files with rows and cut hashes.
std::string TaskText(const quality::TaskRequests& task);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_CELLS_H_
