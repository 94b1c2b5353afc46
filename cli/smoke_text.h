// A smoke report as the table that a person reads and as JSON (schema 1).
#ifndef CROSSCHECK_CLI_SMOKE_TEXT_H_
#define CROSSCHECK_CLI_SMOKE_TEXT_H_

#include "fuzz/smoke.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

void PrintSmokeReport(const SmokeReport& report);
nlohmann::json SmokeJson(const SmokeReport& report);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_SMOKE_TEXT_H_
