// Reads the keys of one JSON object of a config.json, with defaults and errors that name the key.
#ifndef CROSSCHECK_REFERENCE_CONFIG_READER_H_
#define CROSSCHECK_REFERENCE_CONFIG_READER_H_

#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace crosscheck {

// A value and its type, for a message.
inline std::string ShowJson(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return absl::StrCat(text, " (", value.type_name(), ")");
}

inline absl::Status WrongConfigValue(std::string_view key, const nlohmann::json& found,
                                     std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", std::string(key), " holds ",
                                                 ShowJson(found), "; expected ",
                                                 std::string(expected)));
}

inline bool FitsInt(const nlohmann::json& value) {
  constexpr int64_t kMax = std::numeric_limits<int>::max();
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= uint64_t{kMax};
  return value.is_number_integer() && value.get<int64_t>() >= -kMax && value.get<int64_t>() <= kMax;
}

// Reads keys of one JSON object with defaults; remembers the first error so that callers read
// straight through.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, std::string path)
      : object_(object), path_(std::move(path)) {}

  int Integer(const char* key, int fallback) {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!FitsInt(*value)) return Fail(key, *value, "an integer", fallback);
    return value->get<int>();
  }
  double Number(const char* key, double fallback) {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) return Fail(key, *value, "a number", fallback);
    return value->get<double>();
  }
  bool Boolean(const char* key, bool fallback) {
    const nlohmann::json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) return Fail(key, *value, "true or false", fallback);
    return value->get<bool>();
  }
  // Null counts as absent.
  const nlohmann::json* Optional(const char* key) const {
    const nlohmann::json* value = Find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  const nlohmann::json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void Require(const char* key, bool ok, std::string_view expected) {
    const nlohmann::json* value = Optional(key);
    if (value != nullptr && !ok) Fail(key, *value, expected, 0);
  }
  template <class T>
  T Fail(const char* key, const nlohmann::json& found, std::string_view expected, T fallback) {
    if (status_.ok()) status_ = WrongConfigValue(path_ + key, found, expected);
    return fallback;
  }
  void Adopt(const absl::Status& status) {
    if (status_.ok()) status_ = status;
  }
  const std::string& path() const { return path_; }
  const absl::Status& status() const { return status_; }

 private:
  const nlohmann::json& object_;
  std::string path_;
  absl::Status status_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_CONFIG_READER_H_
