#include "engines/request_fields.h"

#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

absl::Status WrongType(const char* name, const char* expected, const Json* got) {
  return absl::InvalidArgumentError(absl::StrCat("field \"", name, "\": expected ", expected,
                                                 ", got ",
                                                 got == nullptr ? "nothing" : got->type_name()));
}

// Values beyond int64 are valid integers that no field takes; they saturate.
int64_t Saturated(const Json& value) {
  constexpr auto kLargest = std::numeric_limits<int64_t>::max();
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(kLargest)) {
    return kLargest;
  }
  return value.get<int64_t>();
}

}  // namespace

const Json* FindField(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

absl::StatusOr<std::string> StringField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_string()) return WrongType(name, "a string", field);
  return field->get<std::string>();
}

absl::StatusOr<int64_t> IntegerField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_number_integer()) return WrongType(name, "an integer", field);
  return Saturated(*field);
}

absl::StatusOr<double> NumberField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_number()) return WrongType(name, "a number", field);
  return field->get<double>();
}

absl::StatusOr<bool> OptionalFlag(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr) return false;
  if (!field->is_boolean()) return WrongType(name, "a boolean", field);
  return field->get<bool>();
}

absl::StatusOr<const Json*> ObjectField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_object()) return WrongType(name, "an object", field);
  return field;
}

absl::StatusOr<const Json*> ArrayField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_array()) return WrongType(name, "an array", field);
  return field;
}

absl::StatusOr<std::vector<int64_t>> IntegersField(const Json& object, const char* name) {
  const Json* field = FindField(object, name);
  if (field == nullptr || !field->is_array()) return WrongType(name, "an array of integers", field);
  std::vector<int64_t> values;
  values.reserve(field->size());
  for (const Json& value : *field) {
    if (!value.is_number_integer()) return WrongType(name, "an array of integers, with it", &value);
    values.push_back(Saturated(value));
  }
  return values;
}

}  // namespace crosscheck
