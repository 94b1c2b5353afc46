// GGML's Q4_1: blocks of 32 neighbours along the input dimension, 4-bit codes above a minimum.
//
// Law (ggml-quants.c, `quantize_row_q4_1_ref`): d = (max - min) / 15, m = min;
// q = min(15, trunc((x - m) * (1 / d) + 0.5)) with the float32 d and m; a block is 20 bytes: d and
// m as halves, then 16 bytes, byte j = q_j | q_{j+16} << 4. Decoded q * d + m with the stored ones.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_1_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_1_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kGgmlQ41BlockValues = 32;
inline constexpr size_t kGgmlQ41BlockBytes = 4 + kGgmlQ41BlockValues / 2;

// `values` is row-major with rows of `columns`, a multiple of 32. Other errors: a value that is not
// finite, a scale or minimum beyond 65504.
absl::StatusOr<std::string> EncodeGgmlQ41(absl::Span<const float> values, size_t columns);
// Of whole blocks.
std::vector<float> DecodeGgmlQ41(std::string_view bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_1_H_
