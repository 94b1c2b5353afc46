// Whether two sides would choose the same tokens at one position (quality.md 3.3).
#ifndef CROSSCHECK_QUALITY_METRICS_AGREEMENT_H_
#define CROSSCHECK_QUALITY_METRICS_AGREEMENT_H_

#include <cstdint>

#include "absl/types/span.h"

namespace crosscheck::quality {

// |T and T'| / k of the first k ids of each side, largest logit first (TopKIds); k is cut to the
// shorter side. 1 where there is nothing to compare.
double TopKOverlap(absl::Span<const int32_t> reference, absl::Span<const int32_t> candidate, int k);
// |T and T'| / |T or T'| of two sets of one size with this overlap.
inline double JaccardOf(double overlap) { return overlap / (2 - overlap); }

// How many tokens of the row come before `token`, from 0: a larger logit, or the same and a lower
// id.
int64_t RankOf(absl::Span<const float> row, int32_t token);

// Whether errors of that size cannot swap the two best tokens: positions of *decided* agreement.
inline bool IsDecided(double margin, double error_of_best, double error_of_second) {
  return margin > error_of_best + error_of_second;
}

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_METRICS_AGREEMENT_H_
