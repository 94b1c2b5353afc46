// The first bad layer, and which half of it, with means that need no engine support: the same case
// on edited models, judged by the same property (judging.md 5.3, last sentence).
//
// A model of the first k layers with the case's own embedding, final norm and head fails if and
// only if the bad block is among the first k; the least such k follows by bisection in
// ⌈log2(layers + 1)⌉ runs. On that model, blocks of its last layer then answer zero one after
// another (reference/model_transform.h): the block without which the failure is gone is the bad
// one.
#ifndef CROSSCHECK_FUZZ_LOCALISE_MODELS_H_
#define CROSSCHECK_FUZZ_LOCALISE_MODELS_H_

#include "fuzz/localise.h"

namespace crosscheck {

// The recipe of the case's model; null where its subject has none.
std::shared_ptr<const ModelRecipe> RecipeOf(const Case& c);

// Adds to `result` what was found and the runs that it took, or a note where a run does not decide.
void LocaliseByModels(const Property& property, const Case& c, Executor& executor,
                      Localisation& result);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_LOCALISE_MODELS_H_
