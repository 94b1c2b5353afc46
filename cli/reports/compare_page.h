// The page of `crosscheck compare` (quality.md 7): verdicts first, then numbers, identity, plots,
// the worst places, layers and methods.
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_PAGE_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_PAGE_H_

#include <string>

#include "cli/reports/html.h"
#include "quality/compare.h"

namespace crosscheck {

// The tokenizer of the comparison, where it has one, shows tokens as text.
std::string ComparePage(const quality::Comparison& comparison);

Markup ComparePlots(const quality::Comparison& comparison);
// Layer by stage: log10 of the added error over its bound, or of the relative error where no added
// error was measured.
HeatMap LayerMap(const quality::ConfigurationResult& result);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_PAGE_H_
