// Weights in bfloat16: the upper half of a float32.
//
// Law: every value is rounded to the nearest bfloat16, ties to even.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_BF16_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_BF16_H_

#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

// Infinity above 3.39e38.
std::vector<float> DecodeFromBF16(absl::Span<const float> values);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_BF16_H_
