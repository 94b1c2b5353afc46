// Write interpreter: the canonical bytes of a case, which Read turns back into the case.
//
// Canonical bytes also order cases: the shorter is the smaller, then the lexicographically smaller.
// Shrinking descends in this order, so it terminates.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_WRITE_H_
#define CROSSCHECK_PROPERTIES_VISITORS_WRITE_H_

#include <string>
#include <utility>

#include "properties/fields.h"

namespace crosscheck {

class WriteVisitor final : public FieldVisitor {
 public:
  std::string TakeBytes() { return std::move(bytes_); }

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override;
  ListPlan BeginList(const ListField& field) override { return {.length = field.size}; }
  bool OneMore(bool planned) override;

 private:
  std::string bytes_;
};

// The bytes of the index of a scalar field that is no seed.
std::string ScalarBytes(uint64_t index);

// True when a case with the bytes `a` is smaller than one with the bytes `b`.
bool SmallerBytes(const std::string& a, const std::string& b);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_WRITE_H_
