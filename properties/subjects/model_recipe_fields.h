// The fields of a generated model, for every subject that has one.
//
// Example:
//   v.Shared("model", [&] { VisitModelRecipe(v, limits, model); });
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "properties/fields.h"
#include "reference/weights.h"

namespace crosscheck {

void VisitModelRecipe(FieldVisitor& v, const Limits& limits, ModelRecipe& model);

// Appends the words that describe a model for coverage quotas ("tied_head", "style:tiny").
void LabelModel(const ModelRecipe& model, std::vector<std::string>& labels);

// Multiply-adds of one token: projections, states and attention over a short context. An estimate
// for the budget of a case.
int64_t MultiplyAddsPerToken(const ModelSpec& spec);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_
