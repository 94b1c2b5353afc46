#include "reference/usual_json.h"

#include <cstdint>
#include <string>

#include "simdjson.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using simdjson::dom::element_type;

json Integer(int64_t value) { return value < 0 ? json(value) : json(static_cast<uint64_t>(value)); }

json Convert(const simdjson::dom::element& element) {
  switch (element.type()) {
    case element_type::ARRAY: {
      const simdjson::dom::array from = element.get_array().value_unsafe();
      json::array_t array;
      array.reserve(from.size());
      for (const simdjson::dom::element child : from) array.push_back(Convert(child));
      return array;
    }
    case element_type::OBJECT: {
      json::object_t object;
      for (const auto& [key, value] : element.get_object().value_unsafe()) {
        object.insert_or_assign(std::string(key), Convert(value));
      }
      return object;
    }
    case element_type::INT64:
      return Integer(element.get_int64().value_unsafe());
    case element_type::UINT64:
      return element.get_uint64().value_unsafe();
    case element_type::DOUBLE:
      return element.get_double().value_unsafe();
    case element_type::STRING:
      return std::string(element.get_string().value_unsafe());
    case element_type::BOOL:
      return element.get_bool().value_unsafe();
    case element_type::NULL_VALUE:
      break;
  }
  return nullptr;
}

}  // namespace

std::optional<json> ParseUsualJson(std::string_view text) {
  // Keeps its buffers from one text to the next.
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (parser.parse(text.data(), text.size()).get(element) != simdjson::SUCCESS) return std::nullopt;
  return Convert(element);
}

}  // namespace crosscheck
