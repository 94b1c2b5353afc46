// lattice's Q4: blocks of 32 over the row-major flattened tensor, 4-bit codes with scale and bias.
//
// Law (lattice `weights/q4_weights.rs`), all in float32:
//   symmetric   s = max|block| / 7,      b = -8 s,  q = clamp(round(x * (1 / s)) + 8, 0, 15)
//   asymmetric  s = (max - min) / 15,    b = min,   q = clamp(round((x - min) * (1 / s)), 0, 15)
// with halves away from zero before the clamp; an s that half precision stores as 0 becomes 1. A
// block is 20 bytes: s and b as halves, then 16 bytes, byte j = q_{2j} | q_{2j+1} << 4. Decoded
// q * s + b with the stored s and b. The last block of a tensor whose size is no multiple of 32 is
// filled up with zeros, which do not widen its range.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_Q4_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_Q4_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

inline constexpr size_t kLatticeQ4BlockValues = 32;
inline constexpr size_t kLatticeQ4BlockBytes = 4 + kLatticeQ4BlockValues / 2;

enum class Q4Mode { kSymmetric, kAsymmetric };

// Errors: a value that is not finite, a scale or bias beyond 65504.
absl::StatusOr<std::string> EncodeLatticeQ4(absl::Span<const float> values, Q4Mode mode);
// The first `count` values of whole blocks; fewer where the blocks hold fewer.
std::vector<float> DecodeLatticeQ4(std::string_view bytes, size_t count);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_Q4_H_
