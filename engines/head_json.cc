#include "engines/head_json.h"

#include <optional>
#include <utility>

#include "reference/usual_json.h"

namespace crosscheck {

nlohmann::json ParseHeadJson(std::string_view text) {
  if (std::optional<nlohmann::json> usual = ParseUsualJson(text)) return *std::move(usual);
  return nlohmann::json::parse(text, nullptr, false);
}

}  // namespace crosscheck
