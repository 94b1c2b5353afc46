// JSON text from outside: parsed without exceptions, with the place of a syntax error.
#ifndef CROSSCHECK_REFERENCE_JSON_INPUT_H_
#define CROSSCHECK_REFERENCE_JSON_INPUT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// The error says at which byte the text stops being JSON (bad UTF-8, a byte order mark and a NUL
// byte included).
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text);

// How deep objects and lists are nested in `text`, which is JSON; 0 for a number.
int JsonDepth(std::string_view text);

// True when an object in `text`, which is JSON and was parsed to `parsed`, names a key twice:
// readers disagree about what it then means.
bool HasRepeatedKey(std::string_view text, const nlohmann::json& parsed);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_JSON_INPUT_H_
