// Weights as Q8_0: blocks of 32 neighbours along the input dimension, one scale for each block.
//
// Law (lattice `pack_weights_q8`): s = max|block| / 127; q = clamp(round(w * (1 / s)), -127, 127),
// halves away from zero, all in float32; a block of zeros has s = 0. A block is 36 bytes: s as
// little-endian float32, then 32 signed codes. (GGML's Q8_0 stores s in half precision: 34 bytes.)
//
// The products of this format take their inputs as 8-bit codes as well, with one scale for the
// whole vector (Activations::kInt8 in reference/weights.h).
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_Q8_0_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_Q8_0_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kQ80BlockValues = 32;
inline constexpr size_t kQ80BlockBytes = 4 + kQ80BlockValues;

// `values` is row-major with rows of `columns`. An error names a number of columns that is no
// multiple of 32.
absl::StatusOr<std::string> EncodeQ80(absl::Span<const float> values, size_t columns);
// Of whole blocks.
std::vector<float> DecodeQ80(std::string_view bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_Q8_0_H_
