// JSON text from outside: parsed without exceptions, with the place of a syntax error.
#ifndef CROSSCHECK_REFERENCE_JSON_INPUT_H_
#define CROSSCHECK_REFERENCE_JSON_INPUT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// The error says at which byte the text stops being JSON (bad UTF-8 and a NUL byte included).
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_JSON_INPUT_H_
