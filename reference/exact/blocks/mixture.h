// Mixture of experts with a gated shared expert, architectures.md 4.3:
//
//   p = softmax(x·Wᵀ);  w_e = p_e / Σ p over the k largest;
//   y = Σ w_e·FFN_e(x) + σ(x·w_sᵀ)·FFN_shared(x)
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_MIXTURE_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_MIXTURE_H_

#include <string>
#include <vector>

#include "reference/exact/blocks/mlp.h"
#include "reference/exact/matmul.h"
#include "reference/exact/taps.h"
#include "reference/weights.h"

namespace crosscheck::exact {

template <class T>
struct MixtureScratch {
  std::vector<T> logits, probabilities, weights, expert_out, routed, shared_gate, shared_out;
  std::vector<int> selected;
  MlpScratch<T> mlp;
};

template <class N>
class Mixture {
 public:
  using T = typename N::Scalar;
  // `prefix` is that of the block, e.g. "layers.0.mlp.".
  Mixture(const Model& model, const std::string& prefix);
  // x [rows, d] → y [rows, d].
  void Apply(const T* x, int rows, const LayerTaps& taps, MixtureScratch<T>& scratch, T* y) const;

 private:
  void Route(const T* x, int rows, const LayerTaps& taps, MixtureScratch<T>& scratch) const;
  void SelectRow(const T* logits, T* probabilities, int* selected, T* weights) const;
  void RunExperts(const T* x, int rows, MixtureScratch<T>& scratch) const;
  void Combine(int rows, const LayerTaps& taps, MixtureScratch<T>& scratch) const;
  void RunShared(const T* x, int rows, const LayerTaps& taps, MixtureScratch<T>& scratch) const;

  int hidden_, experts_per_token_;
  Linear<N> router_;
  std::vector<Mlp<N>> experts_;
  Mlp<N> shared_;
  Linear<N> shared_gate_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_MIXTURE_H_
