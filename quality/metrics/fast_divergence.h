// KL divergence, argmax and top-k of two rows of fp32 logits at the speed of memory (quality.md 8).
//
// fp32 exponentials in SIMD, sums of at most 1,024 terms added in fp64; equal to DivergenceOf
// within 1e-5 relative or 1e-9 (a test compares them). The last bits depend on the instruction set,
// which is chosen at run time (AVX-512, AVX2 or the baseline); DivergenceOf's do not.
//
// Example:
//   FastDivergence compare(100);
//   for (position …) kl.push_back(compare(reference_row, candidate_row).kl);
#ifndef CROSSCHECK_QUALITY_METRICS_FAST_DIVERGENCE_H_
#define CROSSCHECK_QUALITY_METRICS_FAST_DIVERGENCE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

struct FastRow {
  double lse = 0;
  int32_t argmax = -1;       // the lowest id among equals; -1: no finite logit
  std::vector<int32_t> top;  // as TopKIds
};

struct FastResult {
  double kl = 0;  // as Divergence::kl; NaN for non-finite rows, +inf for support violations
  int64_t non_finite = 0;  // as Divergence::non_finite
  FastRow reference, candidate;
};

// The rest of what Divergence has, in a second pass over rows that are still in the cache.
struct FastDetails {
  double reverse_kl = 0, total_variation = 0;
  double centred_linf = 0, centred_rms = 0;
};

// The instruction sets that the loops are compiled for.
enum class InstructionSet { kBaseline, kAvx2, kAvx512 };
InstructionSet BestInstructionSet();  // that this machine has

// Keeps its result and scratch between rows. Not thread-safe; one for each thread.
class FastDivergence {
 public:
  // `set` must be one that this machine has.
  explicit FastDivergence(int k, InstructionSet set = BestInstructionSet()) : k_(k), set_(set) {}

  // Rows of one length, 1 … 2^31 - 1. Rows with an infinity or a NaN take the slow path. The
  // result is valid until the next call.
  const FastResult& operator()(absl::Span<const float> reference,
                               absl::Span<const float> candidate);
  // Of the rows of the last call: to 1e-5 relative or 1e-7; NaN where they are not finite.
  FastDetails Details(absl::Span<const float> reference, absl::Span<const float> candidate) const;

 private:
  const int k_;
  const InstructionSet set_;
  FastResult result_;
  bool slow_ = false;  // the last rows took the slow path
  float max_ = 0,
        shift_ = 0;  // of the last rows: the reference's maximum; what differences were less
  std::vector<float> reference_maxima_, candidate_maxima_, scratch_;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_FAST_DIVERGENCE_H_
