// GGML's Q8_0: blocks of 32 neighbours along the input dimension with a scale in half precision.
//
// Law (ggml-quants.c, `quantize_row_q8_0_ref`): d = max|block| / 127; q = round(x * (1 / d)),
// halves away from zero, with the float32 d; a block is 34 bytes: d as half, 32 signed codes.
// Decoded q * d with the stored d. (lattice's Q8_0 has a float32 scale: q8_0.h.)
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q8_0_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q8_0_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kGgmlQ80BlockValues = 32;
inline constexpr size_t kGgmlQ80BlockBytes = 2 + kGgmlQ80BlockValues;

// `values` is row-major with rows of `columns`, a multiple of 32. Other errors: a value that is not
// finite, a scale above 65504.
absl::StatusOr<std::string> EncodeGgmlQ80(absl::Span<const float> values, size_t columns);
// Of whole blocks.
std::vector<float> DecodeGgmlQ80(std::string_view bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q8_0_H_
