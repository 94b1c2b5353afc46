#include "quality/position_metrics.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "quality/metrics/agreement.h"
#include "quality/metrics/divergence.h"
#include "quality/metrics/fast_divergence.h"
#include "quality/metrics/top_k.h"
#include "quality/position_stat.h"

namespace crosscheck::quality {
namespace {

constexpr int kLargestK = 100;
constexpr size_t kLargestExactVocabulary = 32768;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

void AddOverlaps(absl::Span<const int32_t> ours, absl::Span<const int32_t> theirs,
                 PositionMetrics& metrics) {
  metrics.overlap_5 = TopKOverlap(ours, theirs, 5);
  metrics.overlap_10 = TopKOverlap(ours, theirs, 10);
  metrics.overlap_100 = TopKOverlap(ours, theirs, kLargestK);
}

}  // namespace

PositionMetrics UnknownMetrics() {
  return {kUnknown, kUnknown, kUnknown, kUnknown, kUnknown,
          kUnknown, kUnknown, kUnknown, kUnknown, kUnknown};
}

void Append(const PositionMetrics& m, std::vector<double>& values) {
  values.insert(values.end(), {m.kl, m.reverse_kl, m.total_variation, m.centred_linf, m.centred_rms,
                               m.overlap_5, m.overlap_10, m.overlap_100, m.rank, m.gap});
}

PositionMetrics ComparePosition(absl::Span<const float> reference,
                                absl::Span<const float> candidate) {
  PositionMetrics metrics;
  std::vector<int32_t> ours, theirs;
  if (reference.size() > kLargestExactVocabulary) {
    static thread_local FastDivergence compare(kLargestK);
    const FastResult& fast = compare(reference, candidate);
    metrics.kl = fast.kl;
    const FastDetails details = compare.Details(reference, candidate);
    metrics.reverse_kl = details.reverse_kl;
    metrics.total_variation = details.total_variation;
    metrics.centred_linf = details.centred_linf;
    metrics.centred_rms = details.centred_rms;
    ours = fast.reference.top;
    theirs = fast.candidate.top;
  } else {
    const Divergence d = DivergenceOf(reference, candidate);
    metrics = {.kl = d.kl,
               .reverse_kl = d.reverse_kl,
               .total_variation = d.total_variation,
               .centred_linf = d.centred_linf,
               .centred_rms = d.centred_rms};
    ours = TopKIds(reference, kLargestK);
    theirs = TopKIds(candidate, kLargestK);
  }
  AddOverlaps(ours, theirs, metrics);
  metrics.rank = static_cast<double>(RankOf(candidate, ours[0]));
  metrics.gap = static_cast<double>(reference[static_cast<size_t>(ours[0])]) -
                reference[static_cast<size_t>(theirs[0])];
  return metrics;
}

PositionMetrics ComparePosition(const StoredTopK& reference, absl::Span<const float> candidate) {
  const auto stored = [](absl::Span<const int32_t> ids) {
    return ids.subspan(0, static_cast<size_t>(std::find(ids.begin(), ids.end(), -1) - ids.begin()));
  };
  const auto doubles = [](absl::Span<const float> values, size_t count) {
    return std::vector<double>(values.begin(), values.begin() + static_cast<ptrdiff_t>(count));
  };
  const absl::Span<const int32_t> top = stored(reference.top_ids),
                                  tail = stored(reference.tail_ids);
  const TopKDivergence divergence = DivergenceOfTopK(
      {.lse = reference.lse,
       .top = doubles(reference.top_logits, top.size()),
       .tail = doubles(reference.tail_logits, tail.size())},
      {.lse = StatOf(candidate, -1).lse, .top = At(candidate, top), .tail = At(candidate, tail)});
  PositionMetrics metrics{.kl = divergence.kl,
                          .reverse_kl = kUnknown,
                          .total_variation = kUnknown,
                          .centred_linf = kUnknown,
                          .centred_rms = kUnknown};
  const std::vector<int32_t> theirs = TopKIds(candidate, kLargestK);
  AddOverlaps(top, theirs, metrics);
  metrics.rank = static_cast<double>(RankOf(candidate, top[0]));
  const auto place = std::find(top.begin(), top.end(), theirs[0]);
  metrics.gap = place == top.end()
                    ? kUnknown
                    : static_cast<double>(reference.top_logits[0]) -
                          reference.top_logits[static_cast<size_t>(place - top.begin())];
  return metrics;
}

}  // namespace crosscheck::quality
