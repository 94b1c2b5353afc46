// JSON of every frame and of every safetensors header, several times a case: parsed by simdjson, in
// the type that the rest reads.
#ifndef CROSSCHECK_REFERENCE_USUAL_JSON_H_
#define CROSSCHECK_REFERENCE_USUAL_JSON_H_

#include <optional>
#include <string_view>

#include "nlohmann/json.hpp"

namespace crosscheck {

// The same value as nlohmann::json::parse, or nothing: where `text` is no JSON, and where it holds
// what simdjson refuses (integers beyond 64 bits, a byte order mark, more than 1024 levels).
std::optional<nlohmann::json> ParseUsualJson(std::string_view text);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_USUAL_JSON_H_
