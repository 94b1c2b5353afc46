#include "reference/quantisation/ggml_q8_0.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "reference/quantisation/blocks.h"

namespace crosscheck {

absl::StatusOr<std::string> EncodeGgmlQ80(absl::Span<const float> values, size_t columns) {
  absl::Status status = CheckWholeBlocks(values, columns, kGgmlQ80BlockValues);
  status.Update(CheckFinite(values));
  std::string bytes;
  for (size_t at = 0; status.ok() && at < values.size(); at += kGgmlQ80BlockValues) {
    const absl::Span<const float> block = values.subspan(at, kGgmlQ80BlockValues);
    const float scale = LargestMagnitude(block) / 127;
    const float inverse = scale == 0 ? 0.0F : 1 / scale;
    status = AppendHalf(scale, "scale", bytes);
    for (const float value : block) {
      // A scale below 2^-127 has an infinite inverse; it is 0 in half precision anyway.
      const float code = std::isinf(inverse) ? 0.0F : std::round(value * inverse);
      bytes.push_back(static_cast<char>(static_cast<int>(std::clamp(code, -127.F, 127.F))));
    }
  }
  if (!status.ok()) return status;
  return bytes;
}

std::vector<float> DecodeGgmlQ80(std::string_view bytes) {
  std::vector<float> decoded;
  decoded.reserve(bytes.size() / kGgmlQ80BlockBytes * kGgmlQ80BlockValues);
  for (; bytes.size() >= kGgmlQ80BlockBytes; bytes.remove_prefix(kGgmlQ80BlockBytes)) {
    const float scale = HalfAt(bytes, 0);
    for (const char code : bytes.substr(2, kGgmlQ80BlockValues)) {
      decoded.push_back(static_cast<float>(static_cast<int8_t>(code)) * scale);
    }
  }
  return decoded;
}

}  // namespace crosscheck
