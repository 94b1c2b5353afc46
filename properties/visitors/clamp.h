// Clamp interpreter: brings every field into the range that the limits and the fields before it
// allow.
#ifndef CROSSCHECK_PROPERTIES_VISITORS_CLAMP_H_
#define CROSSCHECK_PROPERTIES_VISITORS_CLAMP_H_

#include "properties/fields.h"

namespace crosscheck {

class ClampVisitor final : public FieldVisitor {
 protected:
  uint64_t Scalar(const ScalarField& /*field*/, uint64_t index) override { return index; }
  ListPlan BeginList(const ListField& field) override { return {.length = field.size}; }
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VISITORS_CLAMP_H_
