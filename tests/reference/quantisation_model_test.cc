// Models with decoded weights and the QuaRot rotation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "reference/checkpoint.h"
#include "reference/exact/model.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/quarot.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

ModelRecipe Recipe(Family family, bool tied) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.family = family;
  const bool hybrid = TraitsOf(family).linear_attention;
  spec.layers = {hybrid ? LayerKind::kLinearAttention : LayerKind::kFullAttention,
                 LayerKind::kFullAttention};
  spec.vocab = 11;
  spec.hidden = 64;
  spec.intermediate = 32;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 16;
  spec.rotary_dim = TraitsOf(family).partial_rotary ? 4 : 16;
  spec.linear_key_dim = 3;
  spec.tied = tied;
  if (TraitsOf(family).mixture) {
    spec.experts = 3;
    spec.experts_per_token = 2;
    spec.shared_intermediate = 32;
  }
  recipe.weights.seed = 7;
  return recipe;
}

}  // namespace
}  // namespace crosscheck
