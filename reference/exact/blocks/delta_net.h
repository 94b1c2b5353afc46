// GatedDeltaNet mixer: projections, causal convolution, gated delta rule, gated norm,
// architectures.md 3.7.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_NET_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_NET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "reference/exact/blocks/delta_rule.h"
#include "reference/exact/matmul.h"
#include "reference/exact/taps.h"
#include "reference/weights.h"

namespace crosscheck::exact {

template <class T>
struct DeltaNetState {
  std::vector<T> conv;  // last K rows of u, [K, C padded to lanes], zeros before the first position
  std::vector<T> recurrent;  // [Hv, Dk, Dv padded to lanes]
};

template <class T>
struct DeltaNetScratch {
  std::vector<T> u, z, a, b, conv, query, key, value, log_decay, beta, output, normed;
  ChunkScratch<T> chunk;
};

template <class N>
class GatedDeltaNet {
 public:
  using T = typename N::Scalar;
  GatedDeltaNet(const Model& model, const std::string& prefix);

  DeltaNetState<T> NewState() const;
  // y [rows, d] → out [rows, d]. Rows of padding (mask 0) are zeroed in y first, so they leave the
  // state as it was.
  void Apply(T* y, int rows, absl::Span<const uint8_t> mask, DeltaRule rule, const LayerTaps& taps,
             DeltaNetState<T>& state, DeltaNetScratch<T>& scratch, T* out) const;
  std::vector<double> Recurrent(const DeltaNetState<T>& state) const;  // [Hv, Dk, Dv]
  std::vector<double> Conv(const DeltaNetState<T>& state) const;       // [C, K]

 private:
  void Project(const T* y, int rows, const LayerTaps& taps, DeltaNetState<T>& state,
               DeltaNetScratch<T>& scratch) const;
  void Convolve(int rows, const LayerTaps& taps, DeltaNetScratch<T>& scratch) const;
  void Split(int rows, const LayerTaps& taps, DeltaNetScratch<T>& scratch) const;
  void TapSplit(int rows, const LayerTaps& taps, const DeltaNetScratch<T>& scratch) const;
  void Gates(int rows, const LayerTaps& taps, DeltaNetScratch<T>& scratch) const;
  void RunRule(int rows, DeltaRule rule, const LayerTaps& taps, DeltaNetState<T>& state,
               DeltaNetScratch<T>& scratch) const;
  void GatedNorm(int rows, DeltaNetScratch<T>& scratch) const;

  int key_heads_, value_heads_, key_dim_, value_dim_, kernel_, channels_;
  int padded_channels_, padded_value_dim_;
  Linear<N> qkv_, z_, b_, a_, output_;
  std::vector<T> conv_weight_;     // [K, C padded to lanes]
  std::vector<T> negative_decay_;  // −exp(A_log), [Hv]
  std::vector<T> dt_bias_;         // [Hv]
  std::vector<T> norm_weight_;     // plain, [Dv]
  T eps_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_NET_H_
