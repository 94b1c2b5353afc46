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

// One per family, in families/<name>.cc; the model has been checked.
template <class N>
std::unique_ptr<ReferenceModel> MakeQwen35(std::shared_ptr<const Model> model, DeltaRule rule);
template <class N>
std::unique_ptr<ReferenceModel> MakeLlama(std::shared_ptr<const Model> model, DeltaRule rule);
template <class N>
std::unique_ptr<ReferenceModel> MakeQwen35Moe(std::shared_ptr<const Model> model, DeltaRule rule);

// Explicit instantiations of a family's function for every numerics in use.
// NOLINTBEGIN(bugprone-macro-parentheses): the argument is the name of a template.
#define CROSSCHECK_INSTANTIATE_FAMILY(Make)                                                     \
  template std::unique_ptr<ReferenceModel> Make<Fp64>(std::shared_ptr<const Model>, DeltaRule); \
  template std::unique_ptr<ReferenceModel> Make<Fp64Reversed>(std::shared_ptr<const Model>,     \
                                                              DeltaRule);                       \
  template std::unique_ptr<ReferenceModel> Make<Fp64Pairwise>(std::shared_ptr<const Model>,     \
                                                              DeltaRule);                       \
  template std::unique_ptr<ReferenceModel> Make<Fp32>(std::shared_ptr<const Model>, DeltaRule); \
  template std::unique_ptr<ReferenceModel> Make<Fp32Reversed>(std::shared_ptr<const Model>,     \
                                                              DeltaRule);                       \
  template std::unique_ptr<ReferenceModel> Make<Fp32Pairwise>(std::shared_ptr<const Model>,     \
                                                              DeltaRule)
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_MODEL_H_
