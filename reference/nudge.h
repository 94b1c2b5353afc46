// Weights moved by a unit in the last place, for models that were read and not generated.
#ifndef CROSSCHECK_REFERENCE_NUDGE_H_
#define CROSSCHECK_REFERENCE_NUDGE_H_

#include "reference/weights.h"

namespace crosscheck {

// What WeightRecipe::nudge does to a generated model. 0: nothing.
void NudgeWeights(int nudge, Model& model);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_NUDGE_H_
