#include "reference/quantisation/int4_groups.h"

#include <algorithm>
#include <cmath>

#include "reference/quantisation/blocks.h"

namespace crosscheck {
namespace {

constexpr int kMiddle = 8;

}  // namespace

absl::StatusOr<Int4Groups> EncodeInt4Groups(absl::Span<const float> values, size_t columns,
                                            size_t group, Int4Mode mode) {
  absl::Status status = CheckWholeBlocks(values, columns, group);
  status.Update(CheckFinite(values));
  Int4Groups encoded{.group = group, .codes = {}, .scales = {}, .zeros = {}};
  std::vector<int> codes(group);
  for (size_t at = 0; status.ok() && at < values.size(); at += group) {
    const absl::Span<const float> block = values.subspan(at, group);
    const auto [smallest, largest] = std::minmax_element(block.begin(), block.end());
    const float minimum = std::min(*smallest, 0.0F);
    float scale = mode == Int4Mode::kSymmetric ? LargestMagnitude(block) / 7
                                               : (std::max(*largest, 0.0F) - minimum) / 15;
    if (scale == 0) scale = 1;
    status = AppendHalf(scale, "scale", encoded.scales);
    int zero = kMiddle;
    if (mode == Int4Mode::kAsymmetric) {
      zero = static_cast<int>(std::clamp(std::nearbyint(-minimum / scale), 0.0F, 15.0F));
      encoded.zeros.push_back(zero);
    }
    for (size_t i = 0; i < group; ++i) {
      const float code = std::nearbyint(block[i] / scale) + static_cast<float>(zero);
      codes[i] = static_cast<int>(std::clamp(code, 0.0F, 15.0F));
    }
    AppendNibbles(codes, NibbleOrder::kPairs, encoded.codes);
  }
  if (!status.ok()) return status;
  return encoded;
}

std::vector<float> Decode(const Int4Groups& groups) {
  std::vector<float> decoded(groups.codes.size() * 2);
  for (size_t i = 0; i < decoded.size(); ++i) {
    const size_t group = i / groups.group;
    const int zero = groups.zeros.empty() ? kMiddle : groups.zeros[group];
    const int code = NibbleAt(groups.codes, i, decoded.size(), NibbleOrder::kPairs);
    decoded[i] = static_cast<float>(code - zero) * HalfAt(groups.scales, 2 * group);
  }
  return decoded;
}

}  // namespace crosscheck
