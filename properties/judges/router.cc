#include "properties/judges/router.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace crosscheck {
namespace {

double LargestMagnitude(absl::Span<const double> row) {
  double largest = 0;
  for (double value : row) largest = std::max(largest, std::abs(value));
  return largest;
}

double LargestDifference(absl::Span<const double> a, absl::Span<const double> b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// The positions of `answer` before first(sequence).
LogitsAnswer Cut(const LogitsAnswer& answer, const std::function<int(size_t)>& first,
                 int& dropped) {
  LogitsAnswer cut = answer;
  dropped = 0;
  for (size_t s = 0; s < cut.sequences.size(); ++s) {
    SequenceLogits& sequence = cut.sequences[s];
    const auto kept = static_cast<size_t>(
        std::lower_bound(sequence.positions.begin(), sequence.positions.end(), first(s)) -
        sequence.positions.begin());
    dropped += static_cast<int>(sequence.positions.size() - kept);
    sequence.positions.resize(kept);
    if (!sequence.values.empty()) sequence.values.resize(kept * sequence.vocab);
  }
  return cut;
}

}  // namespace

double RouterMargin(absl::Span<const double> router_logits, int experts_per_token) {
  const auto k = static_cast<size_t>(experts_per_token);
  if (k >= router_logits.size()) return std::numeric_limits<double>::infinity();
  std::vector<double> sorted(router_logits.begin(), router_logits.end());
  std::partial_sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(k) + 1, sorted.end(),
                    std::greater<>());
  return sorted[k - 1] - sorted[k];
}

RouterTies::RouterTies(const BucketBounds* bucket, int experts_per_token, const LogitsAnswer& exact)
    : bucket_(bucket), experts_per_token_(experts_per_token), exact_(exact) {
  for (const SequenceLogits& sequence : exact.sequences) {
    first_.push_back(sequence.positions.empty() ? 0 : sequence.positions.back() + 1);
  }
  Consult({});
}

int RouterTies::FirstTie(size_t sequence, const std::vector<LogitsAnswer>& references,
                         double& error) const {
  const RouterLogits& exact = exact_.routers[sequence];
  for (int position = 0; position < first_[sequence]; ++position) {
    for (int layer = 0; layer < exact.layers; ++layer) {
      const absl::Span<const double> row = exact.row(layer, position);
      for (const LogitsAnswer& reference : references) {
        error = std::max(error,
                         LargestDifference(row, reference.routers[sequence].row(layer, position)));
      }
      // Engines choose by probabilities, and rounding those moves a logit by units in the last
      // place of 1, however small the logits are.
      ErrorBound bound(bucket_, std::max(1.0, LargestMagnitude(row)), DType::kF32);
      Distances distances{};
      distances[Index(Metric::kLinf)] = error;
      bound.Widen(distances);
      // Epsilon of the last chosen expert plus that of the first rejected one.
      if (!(RouterMargin(row, experts_per_token_) > 2 * bound.Of(Metric::kLinf))) return position;
    }
  }
  return first_[sequence];
}

void RouterTies::Consult(const std::vector<LogitsAnswer>& references) {
  if (exact_.routers.empty()) return;
  double error = 0;
  for (size_t s = 0; s < first_.size(); ++s) first_[s] = FirstTie(s, references, error);
}

LogitsAnswer RouterTies::Before(const LogitsAnswer& answer, int& dropped) const {
  return Cut(answer, [this](size_t s) { return first_[s]; }, dropped);
}

LogitsAnswer BeforeFp64Ties(const LogitsAnswer& exact, int experts_per_token,
                            const LogitsAnswer& answer, int& dropped) {
  const auto first = [&](size_t s) {
    if (exact.routers.empty()) return std::numeric_limits<int>::max();
    const RouterLogits& router = exact.routers[s];
    for (int position = 0; position < router.positions; ++position) {
      for (int layer = 0; layer < router.layers; ++layer) {
        const absl::Span<const double> row = router.row(layer, position);
        const double allowed = kLargestFp64Spread * std::max(1.0, LargestMagnitude(row));
        if (!(RouterMargin(row, experts_per_token) > 2 * allowed)) return position;
      }
    }
    return router.positions;
  };
  return Cut(answer, first, dropped);
}

}  // namespace crosscheck
