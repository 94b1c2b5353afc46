// What is kept of a candidate's logits at one position against those of the reference.
#ifndef CROSSCHECK_QUALITY_POSITION_METRICS_H_
#define CROSSCHECK_QUALITY_POSITION_METRICS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace crosscheck::quality {

// Columns of the F64 tensors `<track>.<item>.metrics` [positions, 10] of a candidate's dump, in
// this order; p and q are the softmaxes of reference and candidate. NaN: the reference's dump does
// not hold enough to know it.
struct PositionMetrics {
  double kl = 0;          // KL(p||q), nats; +inf: a token that p allows has q = 0
  double reverse_kl = 0;  // KL(q||p)
  double total_variation = 0;
  double centred_linf = 0, centred_rms = 0;  // of the logits' differences less their mean
  double overlap_5 = 0, overlap_10 = 0, overlap_100 = 0;  // shared share of the k most likely
  double rank = 0;  // of the reference's most likely token in q, from 0
  double gap = 0;   // reference logits: the largest less that of the candidate's most likely token
};
inline constexpr int kMetricColumns = 10;
inline constexpr std::string_view kMetricColumnNames[kMetricColumns] = {
    "kl",        "reverse_kl", "total_variation", "centred_linf", "centred_rms",
    "overlap_5", "overlap_10", "overlap_100",     "rank",         "gap"};

// NaN everywhere: nothing is known.
PositionMetrics UnknownMetrics();
// The columns at the end of `values`.
void Append(const PositionMetrics& metrics, std::vector<double>& values);

// Rows of one vocabulary, both with a finite logit and neither NaN nor +inf. Vocabularies above
// 32,768 take the fast path (metrics/fast_divergence.h), which knows no reverse KL and no total
// variation.
PositionMetrics ComparePosition(absl::Span<const float> reference,
                                absl::Span<const float> candidate);

// What a dump of mode topk keeps of the reference's row.
struct StoredTopK {
  double lse = 0;
  absl::Span<const int32_t> top_ids, tail_ids;  // -1: fewer than there is room for
  absl::Span<const float> top_logits, tail_logits;
};
// KL is unbiased over the draws of the tail. Only KL, overlaps, rank and, where the candidate's
// most likely token is stored, the gap are known.
PositionMetrics ComparePosition(const StoredTopK& reference, absl::Span<const float> candidate);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_POSITION_METRICS_H_
