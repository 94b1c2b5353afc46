// NVFP4: blocks of 16 neighbours along the input dimension, E2M1 elements, an E4M3 scale for each
// block and a float32 scale for the tensor.
//
// Law (torchao `nvfp4_tensor.py`), in float32: g = max|tensor| / 2688 (1 for a tensor of zeros);
// s = E4M3(clamp((max|block| / 6) / g, 2^-6, 448)); code = E2M1(clamp(x / (g * s), -6, 6)), ties to
// even; decoded code * s * g. Files call g `weight_scale_2`, or hold its reciprocal as
// `weight_global_scale`.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_NVFP4_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_NVFP4_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kNvfp4BlockValues = 16;
inline constexpr size_t kNvfp4BlockBytes = kNvfp4BlockValues / 2;

struct Nvfp4Tensor {
  std::string codes;   // [rows, columns / 2], the element of even index in the low half of a byte
  std::string scales;  // [rows, columns / 16], E4M3
  float global = 1;    // g
};

// `values` is row-major with rows of `columns`, a multiple of 16, and finite.
absl::StatusOr<Nvfp4Tensor> EncodeNvfp4(absl::Span<const float> values, size_t columns);
// An error says where there are not 8 bytes of codes for each scale. A NaN scale gives NaN values.
absl::StatusOr<std::vector<float>> DecodeNvfp4(std::string_view codes, std::string_view scales,
                                               float global);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_NVFP4_H_
