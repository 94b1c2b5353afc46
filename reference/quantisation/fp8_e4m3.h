// Weights as FP8 E4M3FN with a float32 scale for each block of rows and columns.
//
// E4M3FN: sign, four exponent bits (bias 7), three mantissa bits; 0x01 = 2^-9, 0x08 = 2^-6,
// 0x38 = 1, 0x7E = 448, 0x7F = NaN, no infinity.
//
// Law: A = max|block|, s = A / 448 in float32 (1 for a block of zeros), rounded up to a power of
// two where the scale is one; c = E4M3(clamp(w / s, -448, 448)), ties to even; decoded c * s.
// Blocks at the lower and right edge may be smaller. Hugging Face and DeepSeek store the block
// scales as `weight_scale_inv` [ceil(rows / 128), ceil(columns / 128)] and multiply by them.
//
// Example:
//   EncodeFp8(values, 200, 300, {.block_rows = 128, .block_columns = 128})  // scales [2, 3]
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_FP8_E4M3_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_FP8_E4M3_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

// Saturates at 448; NaN stays NaN.
uint8_t EncodeE4M3(float value);
float DecodeE4M3(uint8_t code);

// Which weights share a scale: a block of this many rows and columns; 0 means all of them.
struct Fp8Scope {
  size_t block_rows = 0;
  size_t block_columns = 0;
  bool power_of_two = false;
};

struct Fp8Matrix {
  std::string codes;          // [rows, columns], row-major
  std::vector<float> scales;  // [ceil(rows / block_rows), ceil(columns / block_columns)]
};

// `values` is row-major [rows, columns]. An error names a value that is not finite.
absl::StatusOr<Fp8Matrix> EncodeFp8(absl::Span<const float> values, size_t rows, size_t columns,
                                    const Fp8Scope& scope);
// `codes` is [rows, columns], `scales` has the shape that Fp8Matrix says; anything else is an
// error. NaN codes and scales give NaN values.
absl::StatusOr<std::vector<float>> DecodeFp8(std::string_view codes, absl::Span<const float> scales,
                                             size_t rows, size_t columns, const Fp8Scope& scope);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_FP8_E4M3_H_
