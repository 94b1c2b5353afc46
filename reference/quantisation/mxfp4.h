// MXFP4 (OCP Microscaling): blocks of 32 neighbours along the input dimension, E2M1 elements and a
// power of two as scale, stored as E8M0 (exponent + 127; 0xFF is NaN).
//
// Law, with A = max|block| and X = 2^e, e clamped to -127..127 (torchao `to_mx`):
//   kFloor  e = floor(log2 A) - 2            kCeil   e = ceil(log2 A) - 2
//   kRceil  e = ceil(log2(A * fl32(1/6)))    kEven   kFloor of A rounded to one mantissa bit, i.e.
//                                                    one more where its significand is >= 1.75
// code = E2M1(x / X), ties to even, saturating at 6; decoded code * X. A block of zeros has
// e = -127. kFloor saturates what lies above 6 X, by up to 2 X; kCeil and kRceil never do.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_MXFP4_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_MXFP4_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "reference/quantisation/e2m1.h"

namespace crosscheck {

inline constexpr size_t kMxfp4BlockValues = 32;
inline constexpr size_t kMxfp4BlockBytes = kMxfp4BlockValues / 2;
inline constexpr size_t kGgmlMxfp4BlockBytes = 1 + kMxfp4BlockBytes;

enum class Mxfp4Scale { kFloor, kCeil, kRceil, kEven };

// As safetensors hold it: `_blocks` with the element of even index in the low half of a byte,
// `_scales` with one byte for a block.
struct Mxfp4Tensor {
  std::string blocks;  // [rows, columns / 32, 16]
  std::string scales;  // [rows, columns / 32]
};

// `values` is row-major with rows of `columns`, a multiple of 32, and finite.
absl::StatusOr<Mxfp4Tensor> EncodeMxfp4(absl::Span<const float> values, size_t columns,
                                        Mxfp4Scale scale);
// An error says where there are not 16 bytes of codes for each scale.
absl::StatusOr<std::vector<float>> DecodeMxfp4(std::string_view blocks, std::string_view scales);

// As GGML holds it (ggml-quants.c, `quantize_row_mxfp4_ref`): kFloor, ties to the smaller
// magnitude, 17 bytes a block: the scale, then byte j = code_j | code_{j+16} << 4.
absl::StatusOr<std::string> EncodeGgmlMxfp4(absl::Span<const float> values, size_t columns,
                                            E2M1Ties ties = E2M1Ties::kSmaller);
// Of whole blocks.
std::vector<float> DecodeGgmlMxfp4(std::string_view bytes);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_MXFP4_H_
