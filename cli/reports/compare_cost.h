// Where the time and the memory of a comparison went, in the forms of its report.
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_COST_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_COST_H_

#include <string>

#include "cli/reports/markup.h"
#include "nlohmann/json.hpp"
#include "quality/cost.h"

namespace crosscheck {

// {"times": [{side, track, positions, seconds: {engine, …}}], "memory": [{process, phase, …}]}.
nlohmann::json CostJson(const quality::Cost& cost);
std::string CostMarkdown(const quality::Cost& cost);
Markup CostTables(const quality::Cost& cost);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_COST_H_
