// A named tensor as files and messages carry it: dtype, shape and little-endian row-major bytes.
#ifndef CROSSCHECK_REFERENCE_TENSOR_H_
#define CROSSCHECK_REFERENCE_TENSOR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kU8, kF8E4M3 };
inline constexpr std::string_view kDTypeNames[] = {"F64", "F32", "F16", "BF16",
                                                   "I64", "I32", "U8",  "F8_E4M3"};
int64_t SizeOf(DType dtype);

struct Tensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::string bytes;  // ElementCount() * SizeOf(dtype), checked by every reader

  int64_t ElementCount() const;
  // Reinterprets the bytes; the caller has checked the dtype. Bytes of a Tensor are 8-aligned by
  // std::string's allocator.
  template <class T>
  absl::Span<const T> As() const {
    return absl::MakeConstSpan(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  }
  // F64, F32, F16 and BF16, exactly. Others are errors: an F8_E4M3 means nothing without its scale.
  absl::StatusOr<std::vector<double>> ToDoubles() const;
};

Tensor MakeTensor(std::string name, std::vector<int64_t> shape,
                  absl::Span<const double> values);  // F64
Tensor MakeTensor(std::string name, std::vector<int64_t> shape,
                  absl::Span<const float> values);  // F32
Tensor MakeTensor(std::string name, std::vector<int64_t> shape,
                  absl::Span<const int32_t> values);  // I32

float DecodeBF16(uint16_t bits);
float DecodeF16(uint16_t bits);
uint16_t EncodeBF16(float value);  // round to nearest even
uint16_t EncodeF16(float value);   // round to nearest even, overflow to infinity

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_TENSOR_H_
