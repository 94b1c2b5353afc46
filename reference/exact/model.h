// The exact model by its parts: precision, order of summation and form of the delta rule, chosen
// independently.
//
// MakeExactModel of reference_model.h offers the combinations that judging needs; tests use the
// others, above all the chunked form in fp64, which must agree with the recurrent one.
#ifndef CROSSCHECK_REFERENCE_EXACT_MODEL_H_
#define CROSSCHECK_REFERENCE_EXACT_MODEL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "reference/exact/blocks/delta_rule.h"
#include "reference/exact/numerics.h"
#include "reference/reference_model.h"

namespace crosscheck::exact {

// Fails when the spec is invalid or a tensor is missing or has another shape than the spec says.
template <class N>
absl::StatusOr<std::unique_ptr<ReferenceModel>> MakeModel(std::shared_ptr<const Model> model,
                                                          DeltaRule rule);

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_MODEL_H_
