#include "reference/quantisation/int8_rows.h"

#include <algorithm>
#include <cmath>

namespace crosscheck {

Int8Rows EncodeInt8Rows(absl::Span<const float> values, size_t rows, size_t columns) {
  Int8Rows matrix{.columns = columns, .codes = {}, .scales = {}};
  matrix.codes.reserve(values.size());
  matrix.scales.reserve(rows);
  for (size_t row = 0; row < rows; ++row) {
    const absl::Span<const float> weights = values.subspan(row * columns, columns);
    float largest = 0;
    for (const float weight : weights) largest = std::max(largest, std::abs(weight));
    const float scale = largest == 0 ? 1.0F : largest / 127;
    matrix.scales.push_back(scale);
    for (const float weight : weights) {
      matrix.codes.push_back(
          static_cast<int8_t>(std::clamp(std::round(weight / scale), -128.0F, 127.0F)));
    }
  }
  return matrix;
}

std::vector<float> Decode(const Int8Rows& matrix) {
  std::vector<float> decoded(matrix.codes.size());
  for (size_t i = 0; i < decoded.size(); ++i) {
    decoded[i] = static_cast<float>(matrix.codes[i]) * matrix.scales[i / matrix.columns];
  }
  return decoded;
}

}  // namespace crosscheck
