#include "reference/quantisation/lattice_q4.h"

#include <algorithm>
#include <cmath>

#include "reference/quantisation/blocks.h"
#include "reference/tensor.h"

namespace crosscheck {
namespace {

// A scale that a reader would see as 0 says nothing about the block.
float Usable(float scale) { return scale < 1 && DecodeF16(EncodeF16(scale)) == 0 ? 1.0F : scale; }

absl::Status AppendBlock(absl::Span<const float> block, Q4Mode mode, std::string& bytes) {
  const bool symmetric = mode == Q4Mode::kSymmetric;
  const auto [smallest, largest] = std::minmax_element(block.begin(), block.end());
  const float scale = Usable(symmetric ? LargestMagnitude(block) / 7 : (*largest - *smallest) / 15);
  absl::Status status = AppendHalf(scale, "scale", bytes);
  status.Update(AppendHalf(symmetric ? -8 * scale : *smallest, "bias", bytes));
  if (!status.ok()) return status;
  const float inverse = 1 / scale;
  int codes[kLatticeQ4BlockValues];
  for (size_t i = 0; i < kLatticeQ4BlockValues; ++i) {
    const float value = i < block.size() ? block[i] : 0.0F;
    const float code =
        symmetric ? std::round(value * inverse) + 8 : std::round((value - *smallest) * inverse);
    codes[i] = static_cast<int>(std::clamp(code, 0.0F, 15.0F));
  }
  AppendNibbles(codes, NibbleOrder::kPairs, bytes);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeLatticeQ4(absl::Span<const float> values, Q4Mode mode) {
  absl::Status status = CheckFinite(values);
  std::string bytes;
  for (size_t at = 0; status.ok() && at < values.size(); at += kLatticeQ4BlockValues) {
    status = AppendBlock(values.subspan(at, kLatticeQ4BlockValues), mode, bytes);
  }
  if (!status.ok()) return status;
  return bytes;
}

std::vector<float> DecodeLatticeQ4(std::string_view bytes, size_t count) {
  std::vector<float> decoded;
  decoded.reserve(count);
  for (; bytes.size() >= kLatticeQ4BlockBytes; bytes.remove_prefix(kLatticeQ4BlockBytes)) {
    const float scale = HalfAt(bytes, 0);
    const float bias = HalfAt(bytes, 2);
    for (size_t i = 0; i < kLatticeQ4BlockValues && decoded.size() < count; ++i) {
      const int code = NibbleAt(bytes.substr(4), i, kLatticeQ4BlockValues, NibbleOrder::kPairs);
      decoded.push_back(static_cast<float>(code) * scale + bias);
    }
  }
  return decoded;
}

}  // namespace crosscheck
