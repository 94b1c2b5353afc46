// 4-bit integers with a half-precision scale for each group of neighbours along the input
// dimension, as GPTQ and AWQ files have them.
//
// Law, in float32 and ties to even:
//   symmetric   s = max|group| / 7,  z = 8,                        q = clamp(rne(x / s) + 8, 0, 15)
//   asymmetric  s = (max - min) / 15, z = clamp(rne(-min / s), 0, 15),
//                                                                  q = clamp(rne(x / s) + z, 0, 15)
// where min and max include 0, so that 0 has a code; s = 1 for a group of zeros. Decoded (q - z) *
// s with the stored s.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_INT4_GROUPS_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_INT4_GROUPS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

enum class Int4Mode { kSymmetric, kAsymmetric };

struct Int4Groups {
  size_t group = 0;
  std::string codes;       // [rows, columns / 2], the element of even index in the low half
  std::string scales;      // [rows, columns / group], halves
  std::vector<int> zeros;  // [rows, columns / group] of 4 bits; empty: 8 everywhere
};

// `values` is row-major with rows of `columns`, a multiple of the even number `group`. Other
// errors: a value that is not finite, a scale above 65504.
absl::StatusOr<Int4Groups> EncodeInt4Groups(absl::Span<const float> values, size_t columns,
                                            size_t group, Int4Mode mode);
std::vector<float> Decode(const Int4Groups& groups);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_INT4_GROUPS_H_
