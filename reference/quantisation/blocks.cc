#include "reference/quantisation/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "reference/tensor.h"

namespace crosscheck {

absl::Status CheckFinite(absl::Span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("value ", i, " is ", values[i], "; formats hold finite values only"));
  }
  return absl::OkStatus();
}

absl::Status CheckWholeBlocks(absl::Span<const float> values, size_t columns, size_t block) {
  if (columns == 0 || columns % block != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of ", columns, " values are no whole blocks of ", block));
  }
  if (values.size() % columns != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(values.size(), " values are no whole rows of ", columns));
  }
  return absl::OkStatus();
}

float LargestMagnitude(absl::Span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

absl::Status AppendHalf(float value, std::string_view what, std::string& bytes) {
  const uint16_t half = EncodeF16(value);
  if (!std::isfinite(DecodeF16(half))) {
    return absl::InvalidArgumentError(absl::StrCat("the ", std::string(what), " ", value,
                                                   " does not fit half precision (65504)"));
  }
  bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
  return absl::OkStatus();
}

float HalfAt(std::string_view bytes, size_t at) {
  uint16_t half;
  std::memcpy(&half, bytes.data() + at, sizeof(half));
  return DecodeF16(half);
}

void AppendNibbles(absl::Span<const int> codes, NibbleOrder order, std::string& bytes) {
  const size_t half = codes.size() / 2;
  for (size_t j = 0; j < half; ++j) {
    const int low = order == NibbleOrder::kPairs ? codes[2 * j] : codes[j];
    const int high = order == NibbleOrder::kPairs ? codes[2 * j + 1] : codes[j + half];
    bytes.push_back(static_cast<char>(low | (high << 4)));
  }
}

int NibbleAt(std::string_view bytes, size_t i, size_t count, NibbleOrder order) {
  const size_t byte = order == NibbleOrder::kPairs ? i / 2 : i % (count / 2);
  const bool high = order == NibbleOrder::kPairs ? i % 2 != 0 : i >= count / 2;
  return (static_cast<unsigned char>(bytes[byte]) >> (high ? 4 : 0)) & 0xF;
}

}  // namespace crosscheck
