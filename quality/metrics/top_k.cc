#include "quality/metrics/top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quality/metrics/compensated_sum.h"
#include "quality/metrics/divergence.h"

namespace crosscheck::quality {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Float>
std::vector<int32_t> LargestIds(absl::Span<const Float> row, int k) {
  std::vector<int32_t> ids;
  const auto before = [&](int32_t a, int32_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  };
  const auto keep = [&](size_t count) {
    if (ids.size() <= count) return;
    std::nth_element(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count), ids.end(), before);
    ids.resize(count);
  };
  // A running threshold, so that most tokens cost one comparison.
  const auto wanted = static_cast<size_t>(std::max(k, 0));
  Float threshold = -std::numeric_limits<Float>::infinity();
  for (size_t i = 0; wanted > 0 && i < row.size(); ++i) {
    if (!(row[i] > threshold) || !std::isfinite(row[i])) continue;
    ids.push_back(static_cast<int32_t>(i));
    if (ids.size() < 2 * wanted + 64) continue;
    keep(wanted);
    threshold = row[*std::max_element(ids.begin(), ids.end(), before)];
  }
  keep(wanted);
  std::sort(ids.begin(), ids.end(), before);
  return ids;
}

template <class Float>
void DrawTail(absl::Span<const Float> row, int m, Stream& stream, TopKSelection& selection) {
  std::vector<char> is_top(row.size());
  for (const int32_t id : selection.top) is_top[id] = 1;
  const double max = row[selection.top.front()];
  std::vector<double> mass(row.size());  // cumulative over the tail, in units of e^max
  double sum = 0, top = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const double term = std::isfinite(row[i]) ? std::exp(row[i] - max) : 0;
    (is_top[i] ? top : sum) += term;
    mass[i] = sum;
  }
  selection.tail_mass = sum / (sum + top);
  for (int j = 0; j < m && sum > 0; ++j) {
    const double uniform = static_cast<double>(stream.Next() >> 11) * 0x1p-53;
    const double target = std::min((j + uniform) / m * sum, std::nextafter(sum, 0.0));
    const auto drawn = std::upper_bound(mass.begin(), mass.end(), target);
    const auto id = static_cast<int32_t>(drawn - mass.begin());
    selection.tail.push_back(id);
    selection.tail_probabilities.push_back(std::exp(row[id] - max) / (sum + top));
  }
}

template <class Float>
TopKSelection Select(absl::Span<const Float> row, int k, int m, Stream& stream) {
  TopKSelection selection{.top = LargestIds(row, k), .tail = {}, .tail_probabilities = {}};
  if (!selection.top.empty()) DrawTail(row, m, stream, selection);
  return selection;
}

template <class Float>
std::vector<double> Gather(absl::Span<const Float> row, absl::Span<const int32_t> ids) {
  std::vector<double> logits;
  logits.reserve(ids.size());
  for (const int32_t id : ids) logits.push_back(row[id]);
  return logits;
}

// 1 - sum of e^(z - lse) over the stored ids, at least 0.
double TailMass(const TopKRow& row) {
  CompensatedSum mass;
  for (const double logit : row.top) mass += std::exp(logit - row.lse);
  return std::max(0.0, 1 - mass.value());
}

// p (e^D - 1 - D) = q - p - p D, never negative: for D of any size.
double Term(double log_p, double log_q) {
  const double d = log_q - log_p;
  if (d < 1) return std::exp(log_p) * ExpMinusLinear(d);
  return std::exp(log_q) - std::exp(log_p) * (1 + d);
}

}  // namespace

std::vector<int32_t> TopKIds(absl::Span<const float> row, int k) { return LargestIds(row, k); }
std::vector<int32_t> TopKIds(absl::Span<const double> row, int k) { return LargestIds(row, k); }

TopKSelection SelectTopK(absl::Span<const float> row, int k, int m, Stream stream) {
  return Select(row, k, m, stream);
}
TopKSelection SelectTopK(absl::Span<const double> row, int k, int m, Stream stream) {
  return Select(row, k, m, stream);
}

std::vector<double> At(absl::Span<const float> row, absl::Span<const int32_t> ids) {
  return Gather(row, ids);
}
std::vector<double> At(absl::Span<const double> row, absl::Span<const int32_t> ids) {
  return Gather(row, ids);
}

TopKDivergence DivergenceOfTopK(const TopKRow& reference, const TopKRow& candidate) {
  CompensatedSum top, tail;
  const auto excluded = [](double p, double q) { return q == -kInfinity && p != -kInfinity; };
  for (size_t i = 0; i < reference.top.size(); ++i) {
    if (excluded(reference.top[i], candidate.top[i])) return {kInfinity, kInfinity};
    top += Term(reference.top[i] - reference.lse, candidate.top[i] - candidate.lse);
  }
  const double p_tail = TailMass(reference), q_tail = TailMass(candidate);
  TopKDivergence result{.kl = top.value(), .lower_bound = top.value()};
  if (reference.tail.empty() || p_tail == 0) return result;
  for (size_t j = 0; j < reference.tail.size(); ++j) {
    if (excluded(reference.tail[j], candidate.tail[j])) return {kInfinity, kInfinity};
    tail +=
        ExpMinusLinear((candidate.tail[j] - candidate.lse) - (reference.tail[j] - reference.lse));
  }
  result.kl += p_tail * tail.value() / static_cast<double>(reference.tail.size());
  // The tail as one token; with the sums of p and q equal to 1 this is sum p ln(p/q).
  const double smallest = std::numeric_limits<double>::epsilon() / 2;  // what 1 - sum resolves
  result.lower_bound += Term(std::log(p_tail), std::log(std::max(q_tail, smallest)));
  return result;
}

}  // namespace crosscheck::quality
