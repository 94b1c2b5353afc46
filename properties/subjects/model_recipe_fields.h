// The fields of a generated model, for every subject that has one.
//
// Example:
//   EditRecipe(c.model, [&](ModelRecipe& model) {
//     v.Shared("model", [&] { VisitModelRecipe(v, limits, model); });
//   });
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "properties/fields.h"
#include "reference/weights.h"

namespace crosscheck {

// What a subject asks of its models.
struct RecipeRange {
  // Every input of a matrix product is a multiple of this: formats that pack rows in blocks.
  int input_step = 1;
  // The largest input_step of the subject: upper bounds leave room for it whatever the limits are,
  // so that they do not depend on input_step.
  int largest_input_step = 1;
  bool often_tied = false;
};
// `families`: one bit for each Family that the subject and its judges are made for, as far as
// limits allow them; a mixture of experts needs a judge that knows near ties of routers
// (judges/router.h). It gets the simplest legal experts here; VisitMixture draws them.
inline constexpr uint32_t kDenseQwen35 = 1u << static_cast<uint32_t>(Family::kQwen35);
inline constexpr uint32_t kAllFamilies = ~uint32_t{0};
void VisitModelRecipe(FieldVisitor& v, const Limits& limits, ModelRecipe& model,
                      uint32_t families = kDenseQwen35, const RecipeRange& range = {});

// The fields of a mixture of experts. They were added later, so a subject visits them after all
// others (in a Shared group of their own); their index 0 is what VisitModelRecipe gives.
void VisitMixture(FieldVisitor& v, const Limits& limits, ModelRecipe& model);

// Calls `edit` with a copy of the recipe, a default one when null; an unchanged recipe stays the
// same object.
template <class Edit>
void EditRecipe(std::shared_ptr<const ModelRecipe>& recipe, const Edit& edit) {
  ModelRecipe edited = recipe == nullptr ? ModelRecipe() : *recipe;
  edit(edited);
  if (recipe == nullptr || !(edited == *recipe)) {
    recipe = std::make_shared<const ModelRecipe>(std::move(edited));
  }
}
bool SameRecipe(const std::shared_ptr<const ModelRecipe>& a,
                const std::shared_ptr<const ModelRecipe>& b);

// Appends the words that describe a model for coverage quotas ("tied_head", "style:tiny").
void LabelModel(const ModelRecipe& model, std::vector<std::string>& labels);

// Multiply-adds of one token: projections, states and attention over a short context. An estimate
// for the budget of a case.
int64_t MultiplyAddsPerToken(const ModelSpec& spec);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RECIPE_FIELDS_H_
