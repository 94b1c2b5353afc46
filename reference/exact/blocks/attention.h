// Full attention with grouped heads and RoPE: with norms of q and k and an output gate
// (architectures.md 3.5), or without both (4.1 without q and k norms).
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_

#include <cstdint>
#include <optional>
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

enum class AttentionKind { kGated, kPlain };

template <class N>
class Attention {
 public:
  using T = typename N::Scalar;
  // `prefix` is the layer's, e.g. "layers.0.".
  Attention(const Model& model, const std::string& prefix, AttentionKind kind);

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

  void NormAndRotate(int rows, const RotaryAngles<T>& angles, const LayerTaps& taps,
                     AttentionScratch<T>& scratch) const;
  const T* Gate(int rows, const LayerTaps& taps, AttentionScratch<T>& scratch) const;

  AttentionKind kind_;
  int heads_, kv_heads_, head_dim_;
  Linear<N> query_gate_, key_, value_, output_;      // query_gate_: queries alone when plain
  std::optional<RmsNorm<N>> query_norm_, key_norm_;  // none when plain
  Rope<N> rope_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_ATTENTION_H_
