#include "quality/position_metrics.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "quality/metrics/divergence.h"

namespace crosscheck::quality {
namespace {

constexpr int kLargestK = 100;

// The k most likely tokens, the most likely first; the lower id wins ties.
std::vector<int> MostLikely(absl::Span<const float> logits, size_t k) {
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto middle = order.begin() + static_cast<ptrdiff_t>(std::min(k, order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](int a, int b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  order.erase(middle, order.end());
  return order;
}

double Overlap(const std::vector<int>& a, const std::vector<int>& b, size_t k) {
  k = std::min(k, a.size());
  std::vector<int> first(a.begin(), a.begin() + static_cast<ptrdiff_t>(k)),
      second(b.begin(), b.begin() + static_cast<ptrdiff_t>(k)), shared;
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                        std::back_inserter(shared));
  return static_cast<double>(shared.size()) / static_cast<double>(k);
}

}  // namespace

PositionMetrics ComparePosition(absl::Span<const float> reference,
                                absl::Span<const float> candidate) {
  const Divergence d = DivergenceOf(reference, candidate);
  const std::vector<int> ours = MostLikely(reference, kLargestK);
  const std::vector<int> theirs = MostLikely(candidate, kLargestK);
  const float best = candidate[ours[0]];
  int64_t rank = 0;
  for (int i = 0; i < static_cast<int>(candidate.size()); ++i) {
    rank += candidate[i] > best || (candidate[i] == best && i < ours[0]);
  }
  return {.kl = d.kl,
          .reverse_kl = d.reverse_kl,
          .total_variation = d.total_variation,
          .centred_linf = d.centred_linf,
          .centred_rms = d.centred_rms,
          .overlap_5 = Overlap(ours, theirs, 5),
          .overlap_10 = Overlap(ours, theirs, 10),
          .overlap_100 = Overlap(ours, theirs, kLargestK),
          .rank = static_cast<double>(rank),
          .gap = static_cast<double>(reference[ours[0]]) - reference[theirs[0]]};
}

}  // namespace crosscheck::quality
