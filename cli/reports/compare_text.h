// The result of `crosscheck compare` as text for people and machines (quality.md 7).
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_TEXT_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_TEXT_H_

#include <string>

#include "quality/compare.h"

namespace crosscheck {

// "f16 PASS: KL 1.2e-05 [9.0e-06, 1.6e-05], …": verdict, deciding number, worst place.
std::string CompareSentence(const quality::ConfigurationResult& result);
// At most 20 lines for a pull request: verdicts, three worst places, identity.
std::string CompareSummary(const quality::Comparison& comparison);
// Everything that the page holds but for the plots.
std::string CompareMarkdown(const quality::Comparison& comparison);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_TEXT_H_
