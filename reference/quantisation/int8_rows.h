// Weights as 8-bit integers with one float32 scale for each row (output channel).
//
// Law (lattice `quantize_matrix`): s = max|row| / 127, 1 for a row of zeros;
// q = clamp(round(w / s), -128, 127), halves away from zero; decoded q * s.
//
// Example:
//   EncodeInt8Rows({1, -0.5f}, 1, 2)  // scales {1/127}, codes {127, -64}: 63.5 rounds away
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_INT8_ROWS_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_INT8_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck {

struct Int8Rows {
  size_t columns = 0;
  std::vector<int8_t> codes;  // [rows, columns], row-major
  std::vector<float> scales;  // [rows]
};

// `values` is row-major [rows, columns], finite.
Int8Rows EncodeInt8Rows(absl::Span<const float> values, size_t rows, size_t columns);
std::vector<float> Decode(const Int8Rows& matrix);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_INT8_ROWS_H_
