#include "reference/quantisation/mxfp4.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "reference/quantisation/blocks.h"
#include "reference/quantisation/e2m1.h"

namespace crosscheck {
namespace {

constexpr int kBias = 127;

int CeilLog2(float value) {
  int exponent = 0;
  const float fraction = std::frexp(value, &exponent);  // in [0.5, 1)
  return fraction == 0.5F ? exponent - 1 : exponent;
}

int ExponentFor(float largest, Mxfp4Scale scale) {
  if (largest == 0) return -kBias;
  int exponent = std::ilogb(largest) - 2;
  if (scale == Mxfp4Scale::kCeil) exponent = CeilLog2(largest) - 2;
  if (scale == Mxfp4Scale::kEven && std::ldexp(largest, -std::ilogb(largest)) >= 1.75F) ++exponent;
  if (scale == Mxfp4Scale::kRceil) {
    const float sixth = largest * (1.0F / 6);
    exponent = sixth == 0 ? -kBias : CeilLog2(sixth);
  }
  return std::clamp(exponent, -kBias, kBias);
}

double PowerOfTwo(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

// How 32 elements become 16 bytes.
struct Packing {
  NibbleOrder order;
  E2M1Ties ties;
};

// Appends the codes to `blocks` and the scale to `scales`, which may be the same string.
void AppendBlock(absl::Span<const float> block, Mxfp4Scale scale, Packing packing,
                 std::string& scales, std::string& blocks) {
  const int exponent = ExponentFor(LargestMagnitude(block), scale);
  scales.push_back(static_cast<char>(exponent + kBias));
  int codes[kMxfp4BlockValues];
  for (size_t i = 0; i < block.size(); ++i) {
    codes[i] = EncodeE2M1(static_cast<float>(block[i] * PowerOfTwo(-exponent)), packing.ties);
  }
  AppendNibbles(codes, packing.order, blocks);
}

void DecodeBlock(char scale, std::string_view codes, NibbleOrder order,
                 std::vector<float>& decoded) {
  const auto byte = static_cast<uint8_t>(scale);
  const double unit =
      byte == 0xFF ? std::numeric_limits<double>::quiet_NaN() : PowerOfTwo(byte - kBias);
  for (size_t i = 0; i < kMxfp4BlockValues; ++i) {
    const int code = NibbleAt(codes, i, kMxfp4BlockValues, order);
    decoded.push_back(static_cast<float>(DecodeE2M1(code) * unit));
  }
}

absl::Status CheckInput(absl::Span<const float> values, size_t columns) {
  absl::Status status = CheckWholeBlocks(values, columns, kMxfp4BlockValues);
  status.Update(CheckFinite(values));
  return status;
}

}  // namespace

absl::StatusOr<Mxfp4Tensor> EncodeMxfp4(absl::Span<const float> values, size_t columns,
                                        Mxfp4Scale scale) {
  if (absl::Status status = CheckInput(values, columns); !status.ok()) return status;
  Mxfp4Tensor tensor;
  for (size_t at = 0; at < values.size(); at += kMxfp4BlockValues) {
    AppendBlock(values.subspan(at, kMxfp4BlockValues), scale,
                {NibbleOrder::kPairs, E2M1Ties::kEven}, tensor.scales, tensor.blocks);
  }
  return tensor;
}

absl::StatusOr<std::vector<float>> DecodeMxfp4(std::string_view blocks, std::string_view scales) {
  if (blocks.size() != scales.size() * kMxfp4BlockBytes) {
    return absl::DataLossError(absl::StrCat(blocks.size(), " bytes of codes for ", scales.size(),
                                            " scales; expected ",
                                            scales.size() * kMxfp4BlockBytes));
  }
  std::vector<float> decoded;
  decoded.reserve(scales.size() * kMxfp4BlockValues);
  for (size_t i = 0; i < scales.size(); ++i) {
    DecodeBlock(scales[i], blocks.substr(i * kMxfp4BlockBytes, kMxfp4BlockBytes),
                NibbleOrder::kPairs, decoded);
  }
  return decoded;
}

absl::StatusOr<std::string> EncodeGgmlMxfp4(absl::Span<const float> values, size_t columns,
                                            E2M1Ties ties) {
  if (absl::Status status = CheckInput(values, columns); !status.ok()) return status;
  std::string bytes;
  for (size_t at = 0; at < values.size(); at += kMxfp4BlockValues) {
    AppendBlock(values.subspan(at, kMxfp4BlockValues), Mxfp4Scale::kFloor,
                {NibbleOrder::kHalves, ties}, bytes, bytes);
  }
  return bytes;
}

std::vector<float> DecodeGgmlMxfp4(std::string_view bytes) {
  std::vector<float> decoded;
  decoded.reserve(bytes.size() / kGgmlMxfp4BlockBytes * kMxfp4BlockValues);
  for (; bytes.size() >= kGgmlMxfp4BlockBytes; bytes.remove_prefix(kGgmlMxfp4BlockBytes)) {
    DecodeBlock(bytes[0], bytes.substr(1, kMxfp4BlockBytes), NibbleOrder::kHalves, decoded);
  }
  return decoded;
}

}  // namespace crosscheck
