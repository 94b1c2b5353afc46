#include "reference/quantisation/q8_0.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

void AppendBlock(absl::Span<const float> weights, std::string& bytes) {
  float largest = 0;
  for (const float weight : weights) largest = std::max(largest, std::abs(weight));
  const float scale = largest / 127;
  const float inverse = scale == 0 ? 0.0F : 1 / scale;
  char scale_bytes[sizeof(scale)];
  std::memcpy(scale_bytes, &scale, sizeof(scale));
  bytes.append(scale_bytes, sizeof(scale_bytes));
  for (const float weight : weights) {
    const float code = std::round(weight * inverse);
    // 0 * infinity, in a block whose scale has no finite inverse.
    bytes.push_back(static_cast<char>(
        std::isnan(code) ? 0 : static_cast<int>(std::clamp(code, -127.F, 127.F))));
  }
}

}  // namespace

absl::StatusOr<std::string> EncodeQ80(absl::Span<const float> values, size_t columns) {
  if (columns == 0 || columns % kQ80BlockValues != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows of ", columns, " values are no whole blocks of ", kQ80BlockValues));
  }
  std::string bytes;
  bytes.reserve(values.size() / kQ80BlockValues * kQ80BlockBytes);
  for (size_t at = 0; at < values.size(); at += kQ80BlockValues) {
    AppendBlock(values.subspan(at, kQ80BlockValues), bytes);
  }
  return bytes;
}

std::vector<float> DecodeQ80(std::string_view bytes) {
  std::vector<float> decoded;
  decoded.reserve(bytes.size() / kQ80BlockBytes * kQ80BlockValues);
  for (; bytes.size() >= kQ80BlockBytes; bytes.remove_prefix(kQ80BlockBytes)) {
    float scale;
    std::memcpy(&scale, bytes.data(), sizeof(scale));
    for (const char code : bytes.substr(sizeof(scale), kQ80BlockValues)) {
      decoded.push_back(static_cast<float>(static_cast<int8_t>(code)) * scale);
    }
  }
  return decoded;
}

}  // namespace crosscheck
