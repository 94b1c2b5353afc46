// JSON heads of frames, several times a case: parsed by simdjson, in the type that the rest reads.
#ifndef CROSSCHECK_ENGINES_HEAD_JSON_H_
#define CROSSCHECK_ENGINES_HEAD_JSON_H_

#include <string_view>

#include "nlohmann/json.hpp"

namespace crosscheck {

// The same value as nlohmann::json::parse; discarded (is_discarded()) where `text` is no JSON.
// `text` nests at most 64 deep.
nlohmann::json ParseHeadJson(std::string_view text);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_HEAD_JSON_H_
