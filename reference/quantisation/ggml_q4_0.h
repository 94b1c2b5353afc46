// GGML's Q4_0: blocks of 32 neighbours along the input dimension, 4-bit codes around 8.
//
// Law (ggml-quants.c, `quantize_row_q4_0_ref`): d = m / -8, m the first value of largest magnitude
// with its sign; q = min(15, trunc(x * (1 / d) + 8.5)) with the float32 d; a block is 18 bytes: d
// as half, then 16 bytes, byte j = q_j | q_{j+16} << 4. Decoded (q - 8) * d with the stored d.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_0_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_0_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kGgmlQ40BlockValues = 32;
inline constexpr size_t kGgmlQ40BlockBytes = 2 + kGgmlQ40BlockValues / 2;

// `values` is row-major with rows of `columns`, a multiple of 32. Other errors: a value that is not
// finite, a scale above 65504.
absl::StatusOr<std::string> EncodeGgmlQ40(absl::Span<const float> values, size_t columns);
// Of whole blocks.
std::vector<float> DecodeGgmlQ40(std::string_view bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_GGML_Q4_0_H_
