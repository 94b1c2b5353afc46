// The result of `crosscheck compare` for machines.
#ifndef CROSSCHECK_CLI_REPORTS_COMPARE_JSON_H_
#define CROSSCHECK_CLI_REPORTS_COMPARE_JSON_H_

#include <string>

#include "nlohmann/json.hpp"
#include "quality/compare.h"

namespace crosscheck {

// {"schema": 1, "command": "compare", "verdict", "configs": [{"name", "verdict", "metrics",
// "layers", …}], …}. Numbers that are not finite are null.
nlohmann::json CompareJson(const quality::Comparison& comparison);
// One test case for each configuration and gate; undecided ones are skipped with the reason.
std::string CompareJunit(const quality::Comparison& comparison);

// The worst of the configurations' verdicts.
quality::GateVerdict OverallVerdict(const quality::Comparison& comparison);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_COMPARE_JSON_H_
