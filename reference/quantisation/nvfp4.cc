#include "reference/quantisation/nvfp4.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "reference/quantisation/blocks.h"
#include "reference/quantisation/e2m1.h"
#include "reference/quantisation/fp8_e4m3.h"

namespace crosscheck {
namespace {

constexpr float kLargestElement = 6;
constexpr float kLargestScale = 448;
constexpr float kSmallestScale = 0x1p-6F;  // the smallest normal E4M3

}  // namespace

absl::StatusOr<Nvfp4Tensor> EncodeNvfp4(absl::Span<const float> values, size_t columns) {
  absl::Status status = CheckWholeBlocks(values, columns, kNvfp4BlockValues);
  status.Update(CheckFinite(values));
  if (!status.ok()) return status;
  Nvfp4Tensor tensor;
  tensor.global = LargestMagnitude(values) / (kLargestElement * kLargestScale);
  if (tensor.global == 0) tensor.global = 1;
  int codes[kNvfp4BlockValues];
  for (size_t at = 0; at < values.size(); at += kNvfp4BlockValues) {
    const absl::Span<const float> block = values.subspan(at, kNvfp4BlockValues);
    const float wanted = (LargestMagnitude(block) / kLargestElement) / tensor.global;
    const uint8_t scale = EncodeE4M3(std::clamp(wanted, kSmallestScale, kLargestScale));
    const float step = tensor.global * DecodeE4M3(scale);
    tensor.scales.push_back(static_cast<char>(scale));
    for (size_t i = 0; i < kNvfp4BlockValues; ++i) {
      // A step that underflows belongs to a tensor without a value above 2^-140.
      codes[i] = step == 0 ? 0 : EncodeE2M1(block[i] / step);
    }
    AppendNibbles(codes, NibbleOrder::kPairs, tensor.codes);
  }
  return tensor;
}

absl::StatusOr<std::vector<float>> DecodeNvfp4(std::string_view codes, std::string_view scales,
                                               float global) {
  if (codes.size() != scales.size() * kNvfp4BlockBytes) {
    return absl::DataLossError(absl::StrCat(codes.size(), " bytes of codes for ", scales.size(),
                                            " scales; expected ",
                                            scales.size() * kNvfp4BlockBytes));
  }
  std::vector<float> decoded;
  decoded.reserve(scales.size() * kNvfp4BlockValues);
  for (size_t block = 0; block < scales.size(); ++block) {
    const float scale = DecodeE4M3(static_cast<uint8_t>(scales[block]));
    const std::string_view packed = codes.substr(block * kNvfp4BlockBytes, kNvfp4BlockBytes);
    for (size_t i = 0; i < kNvfp4BlockValues; ++i) {
      const int code = NibbleAt(packed, i, kNvfp4BlockValues, NibbleOrder::kPairs);
      decoded.push_back(DecodeE2M1(code) * scale * global);
    }
  }
  return decoded;
}

}  // namespace crosscheck
