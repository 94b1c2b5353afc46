#include "reference/quantisation/ggml_q4_1.h"

#include <algorithm>
#include <cmath>

#include "reference/quantisation/blocks.h"

namespace crosscheck {

absl::StatusOr<std::string> EncodeGgmlQ41(absl::Span<const float> values, size_t columns) {
  absl::Status status = CheckWholeBlocks(values, columns, kGgmlQ41BlockValues);
  status.Update(CheckFinite(values));
  std::string bytes;
  int codes[kGgmlQ41BlockValues];
  for (size_t at = 0; status.ok() && at < values.size(); at += kGgmlQ41BlockValues) {
    const absl::Span<const float> block = values.subspan(at, kGgmlQ41BlockValues);
    const auto [smallest, largest] = std::minmax_element(block.begin(), block.end());
    const float minimum = *smallest;
    const float scale = (*largest - minimum) / 15;
    const float inverse = scale == 0 ? 0.0F : 1 / scale;
    status = AppendHalf(scale, "scale", bytes);
    status.Update(AppendHalf(minimum, "minimum", bytes));
    if (!status.ok()) break;
    for (size_t i = 0; i < block.size(); ++i) {
      const float scaled = std::isinf(inverse) ? 0.0F : (block[i] - minimum) * inverse;
      codes[i] = std::min(15, static_cast<int>(std::trunc(scaled + 0.5F)));
    }
    AppendNibbles(codes, NibbleOrder::kHalves, bytes);
  }
  if (!status.ok()) return status;
  return bytes;
}

std::vector<float> DecodeGgmlQ41(std::string_view bytes) {
  std::vector<float> decoded;
  decoded.reserve(bytes.size() / kGgmlQ41BlockBytes * kGgmlQ41BlockValues);
  for (; bytes.size() >= kGgmlQ41BlockBytes; bytes.remove_prefix(kGgmlQ41BlockBytes)) {
    const float scale = HalfAt(bytes, 0);
    const float minimum = HalfAt(bytes, 2);
    for (size_t i = 0; i < kGgmlQ41BlockValues; ++i) {
      const int code = NibbleAt(bytes.substr(4), i, kGgmlQ41BlockValues, NibbleOrder::kHalves);
      decoded.push_back(static_cast<float>(code) * scale + minimum);
    }
  }
  return decoded;
}

}  // namespace crosscheck
