// The gated delta rule of one value head, in its two algebraically equal forms,
// architectures.md 3.7.
#ifndef CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_RULE_H_
#define CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_RULE_H_

#include <vector>

#include "reference/exact/matmul.h"

namespace crosscheck::exact {

enum class DeltaRule { kRecurrent, kChunked };

// One value head. Rows are positions; value and output rows are padded to lanes with zeros.
template <class T>
struct DeltaHead {
  int rows;
  int key_dim;           // Dk
  int padded_value_dim;  // Dv padded to lanes
  Rows<const T> query;   // [rows, Dk], l2-normed and scaled by Dk^-1/2
  Rows<const T> key;     // [rows, Dk], l2-normed
  Rows<const T> value;
  Rows<const T> log_decay;  // g, [rows, 1]
  Rows<const T> beta;       // [rows, 1]
  Rows<T> output;
  T* state;  // [Dk, padded Dv], updated
};

template <class T>
struct ChunkScratch {
  std::vector<T> cumulative, key_panels, decayed_keys, system, solution, attention, product;
};

template <class N>
class DeltaRules {
 public:
  using T = typename N::Scalar;
  static constexpr int kChunk = 64;
  // S ← e^g S; δ = β (v − Sᵀk); S ← S + k δᵀ; o = Sᵀq, position by position.
  static void RunRecurrent(const DeltaHead<T>& head);
  // The same in chunks of 64 positions through a unit lower triangular system per chunk.
  static void RunChunked(const DeltaHead<T>& head, ChunkScratch<T>& scratch);

 private:
  static void RunChunk(const DeltaHead<T>& head, ChunkScratch<T>& scratch);
  static void SolveChunk(const DeltaHead<T>& head, ChunkScratch<T>& scratch);
  static void UpdateState(const DeltaHead<T>& head, ChunkScratch<T>& scratch);
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_BLOCKS_DELTA_RULE_H_
