// Typed access to the fields of a request head. A missing or wrongly typed field is InvalidArgument
// and names the field.
#ifndef CROSSCHECK_ENGINES_REQUEST_FIELDS_H_
#define CROSSCHECK_ENGINES_REQUEST_FIELDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engines/message.h"

namespace crosscheck {

// Null when absent.
const Json* FindField(const Json& object, const char* name);

absl::StatusOr<std::string> StringField(const Json& object, const char* name);
absl::StatusOr<int64_t> IntegerField(const Json& object, const char* name);
absl::StatusOr<double> NumberField(const Json& object, const char* name);
// Absent counts as false.
absl::StatusOr<bool> OptionalFlag(const Json& object, const char* name);
// The pointers live as long as `object`.
absl::StatusOr<const Json*> ObjectField(const Json& object, const char* name);
absl::StatusOr<const Json*> ArrayField(const Json& object, const char* name);
absl::StatusOr<std::vector<int64_t>> IntegersField(const Json& object, const char* name);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REQUEST_FIELDS_H_
