// Rotary position embedding of the first rotary_dim dimensions, pairs (i, i + rotary_dim / 2),
// architectures.md 3.6.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_ROPE_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_ROPE_H_

#include <vector>

#include "absl/types/span.h"
#include "reference/exact/numerics.h"

namespace crosscheck::exact {

// cos and sin of the angles of consecutive positions, each [positions, rotary_dim / 2].
template <class T>
struct RotaryAngles {
  std::vector<T> cos;
  std::vector<T> sin;
};

// Angles are computed in T, as Hugging Face computes them in the precision of the run, and only for
// positions in use: nothing here depends on max_positions.
template <class N>
class Rope {
 public:
  using T = typename N::Scalar;
  Rope(double theta, int rotary_dim);
  // Reuses the memory of `angles`.
  void Angles(absl::Span<const int> positions, RotaryAngles<T>& angles) const;
  // Rotates one head [≥ rotary_dim] in place by the angles of row `row`.
  void Rotate(const RotaryAngles<T>& angles, int row, T* head) const;

 private:
  std::vector<T> inverse_frequencies_;  // θ^(-2i/rotary_dim), [rotary_dim / 2]
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_ROPE_H_
