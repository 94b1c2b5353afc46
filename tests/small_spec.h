// The model that tests use where its shape does not matter.
#ifndef CROSSCHECK_TESTS_SMALL_SPEC_H_
#define CROSSCHECK_TESTS_SMALL_SPEC_H_

#include "reference/model_spec.h"

namespace crosscheck {

// Value heads != key heads, grouped attention heads, odd sizes; a linear layer where the family has
// them, and a full one.
inline ModelSpec SmallSpec(Family family = Family::kQwen35) {
  const FamilyTraits& traits = TraitsOf(family);
  ModelSpec spec;
  spec.family = family;
  spec.layers = {traits.linear_attention ? LayerKind::kLinearAttention : LayerKind::kFullAttention,
                 LayerKind::kFullAttention};
  spec.vocab = 31;
  spec.hidden = 13;
  spec.intermediate = 17;
  spec.heads = 6;
  spec.kv_heads = 2;
  spec.head_dim = traits.partial_rotary ? 7 : 8;
  spec.rotary_dim = traits.partial_rotary ? 4 : spec.head_dim;
  if (traits.linear_attention) {
    spec.linear_key_heads = 2;
    spec.linear_value_heads = 6;
    spec.linear_key_dim = 5;
    spec.linear_value_dim = 3;
  } else {
    spec.linear_key_dim = spec.linear_value_dim = spec.conv_kernel = 1;  // the least legal values
  }
  if (traits.mixture) {
    spec.experts = 5;
    spec.experts_per_token = 2;
    spec.shared_intermediate = 9;
  }
  return spec;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_SMALL_SPEC_H_
