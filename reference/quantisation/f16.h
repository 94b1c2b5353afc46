// Weights in IEEE half precision.
//
// Law (lattice `load_f16_weights`): every value is rounded to the nearest half, ties to even; the
// products widen it exactly. Matrices only: norms, convolution, A_log and dt_bias stay float32.
//
// Example:
//   DecodeFromF16({1.0f / 3})  // {0.333251953125f}
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_F16_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_F16_H_

#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

// The float32 values that a correct engine decodes; infinity above 65504.
std::vector<float> DecodeFromF16(absl::Span<const float> values);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_F16_H_
