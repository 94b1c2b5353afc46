// The erased case: what runner, minimiser, corpus and campaign see of a test input.
//
// A subject is one small plain struct plus one Visit function that enumerates its fields
// (properties/fields.h); every function below follows from it through MakeSubject<T>(). Nothing
// outside a subject's own file knows its struct, except the properties that judge it.
//
// Example:
//   Case c = subject.random(stream, limits);
//   std::string text = subject.print(c);              // `name = value` lines
//   absl::StatusOr<Case> same = subject.parse(text);  // errors carry line and column
#ifndef CROSSCHECK_PROPERTIES_SUBJECT_H_
#define CROSSCHECK_PROPERTIES_SUBJECT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "properties/limits.h"
#include "properties/stream.h"

namespace crosscheck {

using Bytes = absl::Span<const uint8_t>;
struct Subject;
class FieldVisitor;

class Case {  // value type, cheap to copy
 public:
  template <class T>
  Case(const Subject& subject, T value)
      : subject_(&subject), value_(std::make_shared<const T>(std::move(value))) {}
  // The subject's struct. Asking for another subject's struct is a harness bug; the caller checks
  // subject() first.
  template <class T>
  const T& As() const {
    return *static_cast<const T*>(value_.get());
  }
  const Subject& subject() const { return *subject_; }

 private:
  const Subject* subject_;
  std::shared_ptr<const void> value_;
};

struct Subject {
  std::string_view name;
  Case (*random)(Stream&, const Limits&);
  Case (*read)(Bytes, const Limits&);  // total: any bytes make a legal case; missing bytes are zero
  std::string (*write)(const Case&);   // canonical bytes; read(write(c)) == c
  std::string (*print)(const Case&);
  absl::StatusOr<Case> (*parse)(std::string_view);
  Case (*clamp)(const Case&, const Limits&);
  std::vector<Case> (*shrink)(const Case&);  // one step, best first, every one smaller
  bool (*equal)(const Case&, const Case&);
  // The values of all fields by their text names, for `when` conditions of known issues
  // ("model.hidden" -> "20"). A list gives its length ("model.layers" -> "3") and its elements
  // ("model.layers.0" -> "full").
  std::vector<std::pair<std::string, std::string>> (*fields)(const Case&);
  // Lets any interpreter (properties/fields.h) visit a copy of the case, which it may change.
  Case (*visit)(const Case&, FieldVisitor&, const Limits&);
  // Words that describe the case for coverage quotas ("value_heads!=key_heads", "boundary_length",
  // "style:tiny").
  std::vector<std::string> (*labels)(const Case&);
};

// All subjects by name; a test may add one (AddSubject) without touching any other file.
const std::vector<const Subject*>& Subjects();
const Subject* FindSubject(std::string_view name);
void AddSubject(
    const Subject& subject);  // static lifetime; a second subject of one name is a harness bug

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECT_H_
