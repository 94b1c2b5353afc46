#include "reference/tensor.h"

#include <bit>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors hold little-endian bytes");

template <class T>
Tensor MakeTensorOf(DType dtype, std::string name, std::vector<int64_t> shape,
                    absl::Span<const T> values) {
  Tensor tensor{std::move(name), dtype, std::move(shape), {}};
  tensor.bytes.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return tensor;
}

template <class T, class Decode>
std::vector<double> Widen(absl::Span<const T> values, Decode decode) {
  std::vector<double> wide(values.size());
  for (size_t i = 0; i < values.size(); ++i) wide[i] = decode(values[i]);
  return wide;
}

// Drops the low `bits` bits of `value`, rounding to nearest, ties to even.
uint32_t ShiftRightToNearestEven(uint32_t value, int bits) {
  const uint32_t kept_is_odd = (value >> bits) & 1;
  return (value + (uint32_t{1} << (bits - 1)) - 1 + kept_is_odd) >> bits;
}

}  // namespace

int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kU8:
    case DType::kF8E4M3:
      return 1;
  }
  return 0;
}

int64_t Tensor::ElementCount() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

absl::StatusOr<std::vector<double>> Tensor::ToDoubles() const {
  switch (dtype) {
    case DType::kF64:
      return Widen(As<double>(), [](double x) { return x; });
    case DType::kF32:
      return Widen(As<float>(), [](float x) { return double{x}; });
    case DType::kF16:
      return Widen(As<uint16_t>(), [](uint16_t x) { return double{DecodeF16(x)}; });
    case DType::kBF16:
      return Widen(As<uint16_t>(), [](uint16_t x) { return double{DecodeBF16(x)}; });
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", name, " has dtype ", std::string(kDTypeNames[static_cast<size_t>(dtype)]),
          "; expected F64, F32, F16 or BF16"));
  }
}

Tensor MakeTensor(std::string name, std::vector<int64_t> shape, absl::Span<const double> values) {
  return MakeTensorOf(DType::kF64, std::move(name), std::move(shape), values);
}

Tensor MakeTensor(std::string name, std::vector<int64_t> shape, absl::Span<const float> values) {
  return MakeTensorOf(DType::kF32, std::move(name), std::move(shape), values);
}

Tensor MakeTensor(std::string name, std::vector<int64_t> shape, absl::Span<const int32_t> values) {
  return MakeTensorOf(DType::kI32, std::move(name), std::move(shape), values);
}

float DecodeBF16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

float DecodeF16(uint16_t bits) {
  const uint32_t sign = (uint32_t{bits} & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1FU;
  const uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  }
  if (mantissa == 0) return std::bit_cast<float>(sign);
  // A subnormal half is a normal float: move the leading one to the implicit place.
  const uint32_t shift = static_cast<uint32_t>(std::countl_zero(mantissa)) - 21;
  return std::bit_cast<float>(sign | ((113 - shift) << 23) |
                              (((mantissa << shift) & 0x3FFU) << 13));
}

uint16_t EncodeBF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // A NaN keeps its sign and becomes quiet; rounding could carry it into infinity.
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1)) >> 16);
}

uint16_t EncodeF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x47800000U) return static_cast<uint16_t>(sign | 0x7C00U);  // 2^16 and above
  if (magnitude >= 0x38800000U) {  // 2^-14: a normal half; a carry past 65504 gives infinity
    return static_cast<uint16_t>(sign | ShiftRightToNearestEven(magnitude - 0x38000000U, 13));
  }
  if (magnitude < 0x33000000U) return static_cast<uint16_t>(sign);  // below half of 2^-24
  const int exponent = static_cast<int>(magnitude >> 23);
  const uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
  return static_cast<uint16_t>(sign | ShiftRightToNearestEven(mantissa, 126 - exponent));
}

}  // namespace crosscheck
