// RMSNorm: x · rsqrt(mean(x²) + ε) ⊙ (1 + w), architectures.md 3.3, or ⊙ w, 4.1.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_NORM_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_NORM_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "reference/exact/numerics.h"

namespace crosscheck::exact {

enum class NormWeight { kOnePlus, kPlain };

template <class N>
class RmsNorm {
 public:
  using T = typename N::Scalar;
  RmsNorm(absl::Span<const float> weight, double eps, NormWeight kind);
  // Rows of the size of the weight; x contiguous or with a row stride, y contiguous.
  void Apply(const T* x, int rows, T* y) const;
  void Apply(const T* x, int rows, ptrdiff_t x_stride, T* y) const;

 private:
  T eps_;
  std::vector<T> scale_;  // 1 + w or w
};

// 1 / sqrt(Σ x² / divisor + eps) over `size` elements.
template <class N, class T = typename N::Scalar>
inline T InverseNorm(const T* x, int size, T divisor, T eps) {
  const T squares = Sum<N::kOrder>(0, size, T{0}, [&](int i) { return x[i] * x[i]; });
  return T{1} / std::sqrt(squares / divisor + eps);
}

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_NORM_H_
