#include "reference/quantisation/tensor_format.h"

#include <cmath>
#include <string>
#include <utility>

#include "reference/quantisation/bf16.h"
#include "reference/quantisation/blocks.h"
#include "reference/quantisation/f16.h"
#include "reference/quantisation/fp8_e4m3.h"
#include "reference/quantisation/ggml_q4_0.h"
#include "reference/quantisation/ggml_q4_1.h"
#include "reference/quantisation/ggml_q8_0.h"
#include "reference/quantisation/int4_groups.h"
#include "reference/quantisation/int8_rows.h"
#include "reference/quantisation/lattice_q4.h"
#include "reference/quantisation/mxfp4.h"
#include "reference/quantisation/nvfp4.h"
#include "reference/quantisation/q8_0.h"

namespace crosscheck {
namespace {

using Decoded = absl::StatusOr<DecodedMatrix>;

// A cast by element of `width` bytes; an infinite result is an error.
Decoded Cast(const MatrixView& matrix, int64_t width,
             std::vector<float> (*cast)(absl::Span<const float>)) {
  DecodedMatrix decoded{cast(matrix.values), width * static_cast<int64_t>(matrix.values.size())};
  absl::Status status = CheckFinite(matrix.values);
  status.Update(CheckFinite(decoded.values));
  if (!status.ok()) return status;
  return decoded;
}

std::vector<float> Same(absl::Span<const float> values) { return {values.begin(), values.end()}; }

Decoded F32(const MatrixView& matrix) { return Cast(matrix, 4, Same); }
Decoded F16(const MatrixView& matrix) { return Cast(matrix, 2, DecodeFromF16); }
Decoded BF16(const MatrixView& matrix) { return Cast(matrix, 2, DecodeFromBF16); }

// A format whose bytes are one string of blocks.
Decoded Blocks(const MatrixView& matrix,
               absl::StatusOr<std::string> (*encode)(absl::Span<const float>, size_t),
               std::vector<float> (*decode)(std::string_view)) {
  const absl::StatusOr<std::string> bytes = encode(matrix.values, matrix.columns);
  if (!bytes.ok()) return bytes.status();
  return DecodedMatrix{decode(*bytes), static_cast<int64_t>(bytes->size())};
}

Decoded Q80(const MatrixView& matrix) { return Blocks(matrix, EncodeGgmlQ80, DecodeGgmlQ80); }
Decoded Q40(const MatrixView& matrix) { return Blocks(matrix, EncodeGgmlQ40, DecodeGgmlQ40); }
Decoded Q41(const MatrixView& matrix) { return Blocks(matrix, EncodeGgmlQ41, DecodeGgmlQ41); }
Decoded GgmlMxfp4(const MatrixView& matrix) {
  const auto encode = [](absl::Span<const float> values, size_t columns) {
    return EncodeGgmlMxfp4(values, columns);
  };
  return Blocks(matrix, encode, DecodeGgmlMxfp4);
}
Decoded LatticeQ80(const MatrixView& matrix) {
  if (absl::Status status = CheckFinite(matrix.values); !status.ok()) return status;
  return Blocks(matrix, EncodeQ80, DecodeQ80);
}

Decoded Int8Row(const MatrixView& matrix) {
  if (absl::Status status = CheckFinite(matrix.values); !status.ok()) return status;
  const Int8Rows rows = EncodeInt8Rows(matrix.values, matrix.rows, matrix.columns);
  return DecodedMatrix{
      Decode(rows), static_cast<int64_t>(rows.codes.size() + rows.scales.size() * sizeof(float))};
}

template <Q4Mode kMode>
Decoded LatticeQ4(const MatrixView& matrix) {
  const absl::StatusOr<std::string> bytes = EncodeLatticeQ4(matrix.values, kMode);
  if (!bytes.ok()) return bytes.status();
  return DecodedMatrix{DecodeLatticeQ4(*bytes, matrix.values.size()),
                       static_cast<int64_t>(bytes->size())};
}

template <size_t kBlockRows, size_t kBlockColumns, bool kPowerOfTwo>
Decoded Fp8(const MatrixView& matrix) {
  const Fp8Scope scope{kBlockRows, kBlockColumns, kPowerOfTwo};
  const auto encoded = EncodeFp8(matrix.values, matrix.rows, matrix.columns, scope);
  if (!encoded.ok()) return encoded.status();
  auto values = DecodeFp8(encoded->codes, encoded->scales, matrix.rows, matrix.columns, scope);
  if (!values.ok()) return values.status();
  const size_t scale_bytes = kPowerOfTwo ? 1 : sizeof(float);
  return DecodedMatrix{
      *std::move(values),
      static_cast<int64_t>(encoded->codes.size() + encoded->scales.size() * scale_bytes)};
}

template <Mxfp4Scale kScale>
Decoded Mxfp4(const MatrixView& matrix) {
  const absl::StatusOr<Mxfp4Tensor> encoded = EncodeMxfp4(matrix.values, matrix.columns, kScale);
  if (!encoded.ok()) return encoded.status();
  auto values = DecodeMxfp4(encoded->blocks, encoded->scales);
  if (!values.ok()) return values.status();
  return DecodedMatrix{*std::move(values),
                       static_cast<int64_t>(encoded->blocks.size() + encoded->scales.size())};
}

Decoded Nvfp4(const MatrixView& matrix) {
  const absl::StatusOr<Nvfp4Tensor> encoded = EncodeNvfp4(matrix.values, matrix.columns);
  if (!encoded.ok()) return encoded.status();
  auto values = DecodeNvfp4(encoded->codes, encoded->scales, encoded->global);
  if (!values.ok()) return values.status();
  return DecodedMatrix{*std::move(values),
                       static_cast<int64_t>(encoded->codes.size() + encoded->scales.size() +
                                            sizeof(encoded->global))};
}

template <size_t kGroup, Int4Mode kMode>
Decoded Int4(const MatrixView& matrix) {
  const auto encoded = EncodeInt4Groups(matrix.values, matrix.columns, kGroup, kMode);
  if (!encoded.ok()) return encoded.status();
  return DecodedMatrix{Decode(*encoded),
                       static_cast<int64_t>(encoded->codes.size() + encoded->scales.size() +
                                            (encoded->zeros.size() + 1) / 2)};
}

constexpr TensorFormat kFormats[] = {
    {"f32", "IEEE single precision", 32, 0, F32},
    {"f16", "IEEE half precision", 16, 2.1e-4, F16},
    {"bf16", "bfloat16", 16, 1.66e-3, BF16},
    {"int8_row", "lattice: 8-bit codes, a float32 scale for each row", 8, 0.0078, Int8Row},
    {"q8_0", "GGML: blocks of 32, half-precision scale", 8.5, 0.0054, Q80},
    {"q8_0_lattice", "lattice on CPU: blocks of 32, float32 scale", 9, 0.0054, LatticeQ80},
    {"fp8_tensor", "FP8 E4M3, one float32 scale", 8, 0.0265, Fp8<0, 0, false>},
    {"fp8_row", "FP8 E4M3, a float32 scale for each row", 8, 0.0265, Fp8<1, 0, false>},
    {"fp8_block", "FP8 E4M3, a float32 scale for each block of 128 x 128", 8, 0.0265,
     Fp8<128, 128, false>},
    {"fp8_block_ue8m0", "FP8 E4M3, a power of two as scale for each block of 128 x 128", 8, 0.0265,
     Fp8<128, 128, true>},
    {"q4_asym", "lattice Q4, asymmetric: blocks of 32, half-precision scale and minimum", 5, 0.0782,
     LatticeQ4<Q4Mode::kAsymmetric>},
    {"q4_sym", "lattice Q4, symmetric (its QuaRot folders)", 5, 0.0970,
     LatticeQ4<Q4Mode::kSymmetric>},
    {"q4_0", "GGML: blocks of 32, 4-bit codes, half-precision scale", 4.5, 0.0859, Q40},
    {"q4_1", "GGML: blocks of 32, 4-bit codes, half-precision scale and minimum", 5, 0.0782, Q41},
    {"int4_g64", "4-bit codes, a half-precision scale for 64 weights", 4.25, 0.1076,
     Int4<64, Int4Mode::kSymmetric>},
    {"int4_g128", "4-bit codes, a half-precision scale for 128 weights", 4.125, 0.1172,
     Int4<128, Int4Mode::kSymmetric>},
    {"int4_asym_g128", "4-bit codes, a half-precision scale and zero point for 128 weights",
     4.15625, 0.1006, Int4<128, Int4Mode::kAsymmetric>},
    {"mxfp4", "E2M1 with a power of two for 32 weights, rounded down (FLOOR)", 4.25, 0.1149,
     Mxfp4<Mxfp4Scale::kFloor>},
    {"mxfp4_ceil", "the same, rounded up (CEIL)", 4.25, 0.1440, Mxfp4<Mxfp4Scale::kCeil>},
    {"mxfp4_rceil", "the same, rounded up from a sixth of the largest (RCEIL)", 4.25, 0.1154,
     Mxfp4<Mxfp4Scale::kRceil>},
    {"mxfp4_even", "the same, rounded to even (EVEN)", 4.25, 0.1118, Mxfp4<Mxfp4Scale::kEven>},
    {"mxfp4_ggml", "GGML's MXFP4: FLOOR, ties to the smaller magnitude", 4.25, 0.1149, GgmlMxfp4},
    {"nvfp4", "E2M1 with an E4M3 scale for 16 weights and a float32 scale for the tensor", 4.5,
     0.0952, Nvfp4},
};

}  // namespace

absl::Span<const TensorFormat> TensorFormats() { return kFormats; }

const TensorFormat* FindTensorFormat(std::string_view name) {
  for (const TensorFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

void RelativeError::Add(absl::Span<const float> stored, absl::Span<const float> decoded) {
  for (size_t i = 0; i < stored.size(); ++i) {
    const double error = double{decoded[i]} - double{stored[i]};
    squared_error += error * error;
    squared_sum += double{stored[i]} * double{stored[i]};
  }
}

double RelativeError::Value() const {
  return squared_error == 0 ? 0 : std::sqrt(squared_error / squared_sum);
}

}  // namespace crosscheck
