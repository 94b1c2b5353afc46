// The `topk` storage of a row of logits, and the KL divergence that it allows (quality.md 2.2): the
// k largest logits and m of the rest, drawn with probability proportional to p. The same ids are
// then asked of the candidate, whose own lse is exact too.
//
// Example:
//   const TopKSelection s = SelectTopK(row, 1024, 256, Stream(seed, name).Fork("forced/17/3"));
//   TopKRow p{.lse = stat.lse, .top = At(row, s.top), .tail = At(row, s.tail)};
//   const TopKDivergence kl = DivergenceOfTopK(p, q);
#ifndef CROSSCHECK_QUALITY_METRICS_TOP_K_H_
#define CROSSCHECK_QUALITY_METRICS_TOP_K_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "properties/stream.h"

namespace crosscheck::quality {

// Ids of the k largest finite logits, largest first, the lowest id first among equals; fewer where
// fewer logits are finite. NaN and infinities are never chosen.
std::vector<int32_t> TopKIds(absl::Span<const float> row, int k);
std::vector<int32_t> TopKIds(absl::Span<const double> row, int k);

struct TopKSelection {
  std::vector<int32_t> top;   // min(k, finite logits) ids, as TopKIds
  std::vector<int32_t> tail;  // m ids outside `top`, ascending, an id may repeat; empty
                              // where no mass is left
  std::vector<double> tail_probabilities;  // p of each id of `tail`, of the whole row
  double tail_mass = 0;                    // of all tokens outside `top`
};
// One draw of `stream` in each of m equal strata of the tail's mass, in order of ids.
TopKSelection SelectTopK(absl::Span<const float> row, int k, int m, Stream stream);
TopKSelection SelectTopK(absl::Span<const double> row, int k, int m, Stream stream);

// The logits of one side at the selected ids.
std::vector<double> At(absl::Span<const float> row, absl::Span<const int32_t> ids);
std::vector<double> At(absl::Span<const double> row, absl::Span<const int32_t> ids);

struct TopKRow {
  double lse = 0;  // of the whole row
  std::vector<double> top, tail;
};

struct TopKDivergence {
  double kl = 0;           // unbiased over the draws: sum over top + tail mass * mean over draws
  double lower_bound = 0;  // of the true KL, whatever was drawn
};
// KL(reference || candidate); shapes agree. +inf where the candidate excludes a stored token.
TopKDivergence DivergenceOfTopK(const TopKRow& reference, const TopKRow& candidate);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_TOP_K_H_
