#include "reference/quantisation/fp8_e4m3.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "reference/quantisation/blocks.h"

namespace crosscheck {
namespace {

constexpr float kLargest = 448;

size_t BlockCount(size_t extent, size_t block) {
  return block == 0 ? 1 : (extent + block - 1) / block;
}

// Calls `visit` with every stretch of a row that lies in one block: where it begins in the values,
// its length and the index of its scale.
template <class Visit>
void ForEachStretch(size_t rows, size_t columns, const Fp8Scope& scope, const Visit& visit) {
  const size_t width = scope.block_columns == 0 ? columns : scope.block_columns;
  const size_t blocks = BlockCount(columns, scope.block_columns);
  for (size_t row = 0; row < rows; ++row) {
    const size_t down = scope.block_rows == 0 ? 0 : row / scope.block_rows;
    for (size_t right = 0; right * width < columns; ++right) {
      visit(row * columns + right * width, std::min(width, columns - right * width),
            down * blocks + right);
    }
  }
}

float ScaleFor(float largest, bool power_of_two) {
  const float scale = largest / kLargest;
  if (scale == 0) return 1;
  if (!power_of_two) return scale;
  int exponent = 0;
  const float fraction = std::frexp(scale, &exponent);  // in [0.5, 1)
  return std::ldexp(1.0F, fraction == 0.5F ? exponent - 1 : exponent);
}

}  // namespace

uint8_t EncodeE4M3(float value) {
  const int sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | 0x7F);
  const float magnitude = std::min(std::abs(value), kLargest);
  const int exponent =
      std::max(static_cast<int>(std::bit_cast<uint32_t>(magnitude) >> 23) - 127, -6);
  // Eight steps from a power of two to the next: exact, then one rounding to nearest even.
  const auto inverse_step = std::bit_cast<float>(static_cast<uint32_t>(3 - exponent + 127) << 23);
  const int steps = static_cast<int>(std::nearbyint(magnitude * inverse_step));
  return static_cast<uint8_t>(sign | (8 * (exponent + 7) + steps - 8));
}

float DecodeE4M3(uint8_t code) {
  const int exponent = (code >> 3) & 0xF;
  const int mantissa = code & 7;
  float magnitude = std::ldexp(static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa),
                               std::max(exponent, 1) - 10);
  if ((code & 0x7F) == 0x7F) magnitude = std::numeric_limits<float>::quiet_NaN();
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

absl::StatusOr<Fp8Matrix> EncodeFp8(absl::Span<const float> values, size_t rows, size_t columns,
                                    const Fp8Scope& scope) {
  if (absl::Status status = CheckFinite(values); !status.ok()) return status;
  Fp8Matrix matrix;
  matrix.scales.resize(BlockCount(rows, scope.block_rows) *
                       BlockCount(columns, scope.block_columns));
  ForEachStretch(rows, columns, scope, [&](size_t begin, size_t count, size_t block) {
    const float largest = LargestMagnitude(values.subspan(begin, count));
    matrix.scales[block] = std::max(matrix.scales[block], largest);
  });
  for (float& scale : matrix.scales) scale = ScaleFor(scale, scope.power_of_two);
  matrix.codes.resize(values.size());
  ForEachStretch(rows, columns, scope, [&](size_t begin, size_t count, size_t block) {
    for (size_t i = begin; i < begin + count; ++i) {
      matrix.codes[i] = static_cast<char>(EncodeE4M3(values[i] / matrix.scales[block]));
    }
  });
  return matrix;
}

absl::StatusOr<std::vector<float>> DecodeFp8(std::string_view codes, absl::Span<const float> scales,
                                             size_t rows, size_t columns, const Fp8Scope& scope) {
  const size_t blocks =
      BlockCount(rows, scope.block_rows) * BlockCount(columns, scope.block_columns);
  if (codes.size() != rows * columns || scales.size() != blocks) {
    return absl::DataLossError(absl::StrCat(codes.size(), " codes and ", scales.size(),
                                            " scales for a matrix of ", rows, " x ", columns,
                                            "; expected ", rows * columns, " and ", blocks));
  }
  float table[256];
  for (int code = 0; code < 256; ++code) table[code] = DecodeE4M3(static_cast<uint8_t>(code));
  std::vector<float> decoded(codes.size());
  ForEachStretch(rows, columns, scope, [&](size_t begin, size_t count, size_t block) {
    for (size_t i = begin; i < begin + count; ++i) {
      decoded[i] = table[static_cast<uint8_t>(codes[i])] * scales[block];
    }
  });
  return decoded;
}

}  // namespace crosscheck
