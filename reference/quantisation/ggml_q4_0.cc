#include "reference/quantisation/ggml_q4_0.h"

#include <algorithm>
#include <cmath>

#include "reference/quantisation/blocks.h"

namespace crosscheck {
namespace {

// With its sign; the first of several.
float Extreme(absl::Span<const float> block) {
  float extreme = 0;
  for (const float value : block) {
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  }
  return extreme;
}

}  // namespace

absl::StatusOr<std::string> EncodeGgmlQ40(absl::Span<const float> values, size_t columns) {
  absl::Status status = CheckWholeBlocks(values, columns, kGgmlQ40BlockValues);
  status.Update(CheckFinite(values));
  std::string bytes;
  int codes[kGgmlQ40BlockValues];
  for (size_t at = 0; status.ok() && at < values.size(); at += kGgmlQ40BlockValues) {
    const absl::Span<const float> block = values.subspan(at, kGgmlQ40BlockValues);
    const float scale = Extreme(block) / -8;
    const float inverse = scale == 0 ? 0.0F : 1 / scale;
    status = AppendHalf(scale, "scale", bytes);
    for (size_t i = 0; i < block.size(); ++i) {
      const float scaled = std::isinf(inverse) ? 0.0F : block[i] * inverse;
      codes[i] = std::min(15, static_cast<int>(scaled + 8.5F));
    }
    AppendNibbles(codes, NibbleOrder::kHalves, bytes);
  }
  if (!status.ok()) return status;
  return bytes;
}

std::vector<float> DecodeGgmlQ40(std::string_view bytes) {
  std::vector<float> decoded;
  decoded.reserve(bytes.size() / kGgmlQ40BlockBytes * kGgmlQ40BlockValues);
  for (; bytes.size() >= kGgmlQ40BlockBytes; bytes.remove_prefix(kGgmlQ40BlockBytes)) {
    const float scale = HalfAt(bytes, 0);
    for (size_t i = 0; i < kGgmlQ40BlockValues; ++i) {
      const int code = NibbleAt(bytes.substr(2), i, kGgmlQ40BlockValues, NibbleOrder::kHalves);
      decoded.push_back(static_cast<float>(code - 8) * scale);
    }
  }
  return decoded;
}

}  // namespace crosscheck
