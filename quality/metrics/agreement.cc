#include "quality/metrics/agreement.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace crosscheck::quality {

double TopKOverlap(absl::Span<const int32_t> reference, absl::Span<const int32_t> candidate,
                   int k) {
  const auto size = std::min({static_cast<size_t>(k), reference.size(), candidate.size()});
  if (size == 0) return 1;
  std::vector<int32_t> ours(reference.begin(), reference.begin() + size);
  std::vector<int32_t> theirs(candidate.begin(), candidate.begin() + size);
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  std::vector<int32_t> shared;
  std::set_intersection(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                        std::back_inserter(shared));
  return static_cast<double>(shared.size()) / static_cast<double>(size);
}

int64_t RankOf(absl::Span<const float> row, int32_t token) {
  const float own = row[token];
  int64_t rank = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    rank += row[i] > own || (row[i] == own && i < static_cast<size_t>(token));
  }
  return rank;
}

}  // namespace crosscheck::quality
