#include "absl/strings/str_cat.h"
#include "properties/visitors/text.h"

namespace crosscheck {

void FieldPath::Push(std::string_view name) {
  lengths_.push_back(path_.size());
  if (!path_.empty() && !name.empty()) path_.push_back('.');
  path_.append(name);
}

void FieldPath::Pop() {
  path_.resize(lengths_.back());
  lengths_.pop_back();
}

std::string FieldPath::Join(std::string_view name) const {
  std::string joined = path_;
  if (!joined.empty() && !name.empty()) joined.push_back('.');
  joined.append(name);
  return joined;
}

uint64_t PrintVisitor::Scalar(const ScalarField& field, uint64_t index) {
  if (inline_list_) {
    text_.append(" ").append(field.Print(index));
  } else {
    text_.append(path_.Join(field.name)).append(" = ").append(field.Print(index)).append("\n");
  }
  return index;
}

ListPlan PrintVisitor::BeginList(const ListField& field) {
  // An empty list of groups gets a line too: it is what shows that an element which holds nothing
  // else exists.
  if (field.scalars || field.size == 0) text_.append(path_.Join(field.name)).append(" =");
  inline_list_ = field.scalars;
  if (!field.scalars) path_.Push(field.name);
  return {.length = field.size};
}

void PrintVisitor::EndList(const ListField& field, const ListPlan& /*plan*/, size_t size) {
  if (field.scalars || size == 0) text_.append("\n");
  inline_list_ = false;
  if (!field.scalars) path_.Pop();
}

void PrintVisitor::BeginElement(const ListField& field, size_t index) {
  if (!field.scalars) path_.Push(std::to_string(index));
}

void PrintVisitor::EndElement(const ListField& field) {
  if (!field.scalars) path_.Pop();
}

uint64_t NamedValuesVisitor::Scalar(const ScalarField& field, uint64_t index) {
  values_.emplace_back(path_.Join(scalar_element_ ? "" : field.name), field.Print(index));
  return index;
}

ListPlan NamedValuesVisitor::BeginList(const ListField& field) {
  values_.emplace_back(path_.Join(field.name), absl::StrCat(field.size));
  return {.length = field.size};
}

void NamedValuesVisitor::BeginElement(const ListField& field, size_t index) {
  path_.Push(field.name);
  path_.Push(std::to_string(index));
  scalar_element_ = field.scalars;
}

void NamedValuesVisitor::EndElement(const ListField& /*field*/) {
  path_.Pop();
  path_.Pop();
  scalar_element_ = false;
}

}  // namespace crosscheck
