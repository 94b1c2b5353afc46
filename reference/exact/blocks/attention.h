// Gated full attention with grouped heads and partial RoPE, architectures.md 3.5.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "reference/exact/blocks/norm.h"
#include "reference/exact/blocks/rope.h"
#include "reference/exact/matmul.h"
#include "reference/exact/taps.h"
#include "reference/weights.h"

namespace crosscheck::exact {

// Keys (after norm and RoPE) and values of all positions so far, one entry per kv head. Keys are
// panels [⌈T/lanes⌉, D, lanes], so that scores of neighbouring keys are computed together; values
// are rows [T, D padded to lanes].
template <class T>
struct KvCache {
  std::vector<std::vector<T>> keys;
  std::vector<std::vector<T>> values;
  int length = 0;
};

template <class T>
struct AttentionScratch {
  std::vector<T> query_gate, query, key, value, probabilities, context, gated;
  std::vector<double> tapped_probabilities;
};

template <class N>
class GatedAttention {
 public:
  using T = typename N::Scalar;
  GatedAttention(const Model& model, const std::string& prefix);

  KvCache<T> NewCache() const;
  // Appends `rows` positions y [rows, d] and writes out [rows, d]. key_mask has one entry per
  // position of the cache after the append; a query that sees no unmasked key gets a context of
  // zeros (it is padding, nobody compares it).
  void Apply(const T* y, int rows, absl::Span<const uint8_t> key_mask,
             const RotaryAngles<T>& angles, const LayerTaps& taps, KvCache<T>& cache,
             AttentionScratch<T>& scratch, T* out) const;
  // [Hkv, T, D].
  std::vector<double> Keys(const KvCache<T>& cache) const;
  std::vector<double> Values(const KvCache<T>& cache) const;

 private:
  void Project(const T* y, int rows, const RotaryAngles<T>& angles, const LayerTaps& taps,
               AttentionScratch<T>& scratch) const;
  void Append(int rows, const AttentionScratch<T>& scratch, KvCache<T>& cache) const;
  void Attend(int rows, absl::Span<const uint8_t> key_mask, const KvCache<T>& cache,
              bool tap_probabilities, AttentionScratch<T>& scratch) const;

  int heads_, kv_heads_, head_dim_;
  Linear<N> query_gate_, key_, value_, output_;
  RmsNorm<N> query_norm_, key_norm_;
  Rope<N> rope_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_
