// SwiGLU feed-forward block: (silu(y·Wgᵀ) ⊙ (y·Wuᵀ)) · Wdᵀ, architectures.md 3.4.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_MLP_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_MLP_H_

#include <string>
#include <vector>

#include "reference/exact/matmul.h"
#include "reference/exact/taps.h"
#include "reference/weights.h"

namespace crosscheck::exact {

template <class T>
struct MlpScratch {
  std::vector<T> gate;
  std::vector<T> up;
};

template <class N>
class Mlp {
 public:
  using T = typename N::Scalar;
  // `prefix` is that of the three projections, e.g. "layers.0.mlp.".
  Mlp(const Model& model, const std::string& prefix, int intermediate);
  // The three matrices by themselves: gate and up [I, d], down [d, I].
  Mlp(absl::Span<const float> gate, absl::Span<const float> up, absl::Span<const float> down,
      int intermediate, int hidden);
  // x [rows, d] → y [rows, d].
  void Apply(const T* x, int rows, const LayerTaps& taps, MlpScratch<T>& scratch, T* y) const;

 private:
  Linear<N> gate_;
  Linear<N> up_;
  Linear<N> down_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_MLP_H_
