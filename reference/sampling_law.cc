#include "reference/sampling_law.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr double kUnit = 0x1p-24;  // roundoff of single precision
constexpr double kSmallest =
    0x1p-149;  // its smallest number: the roundoff of those that are nearly 0

// Tokens that can be drawn, in decreasing order of their scaled logits, lower ids first.
struct Ranked {
  int32_t token;
  double value;   // logit after bias and penalty
  double scaled;  // (logit - largest) / temperature, at most 0
  double error;   // bound on the error of `scaled`
  double weight;  // exp(scaled)
  int cluster;    // equal for a chain of logits whose order rounding may change

  // The largest weight that rounding may give it.
  double LargestWeight() const { return std::exp(std::min(0.0, scaled + error)); }
};

bool Follows(const Ranked& a, const Ranked& b) {
  return a.value != b.value ? a.value > b.value : a.token < b.token;
}

// What cannot be drawn has no order. `further` is allowed on top of the errors of the scaled
// logits.
bool NearTie(const Ranked& a, const Ranked& b, double further = 0) {
  const double allowed = a.error + b.error + further;
  return a.LargestWeight() > 0 && b.LargestWeight() > 0 && std::abs(a.scaled - b.scaled) <= allowed;
}

// Logits after bias and penalty, and which of them were rounded on the way.
struct Adjusted {
  std::vector<double> values;
  std::vector<bool> rounded;
};

Adjusted Adjust(absl::Span<const double> logits, absl::Span<const double> bias, double penalty,
                absl::Span<const int32_t> history) {
  Adjusted adjusted{{logits.begin(), logits.end()}, std::vector<bool>(logits.size())};
  for (size_t i = 0; i < bias.size(); ++i) {
    adjusted.values[i] += bias[i];
    adjusted.rounded[i] = bias[i] != 0;
  }
  if (penalty == 1 || !(penalty > 0) || !std::isfinite(penalty)) return adjusted;
  std::vector<bool> penalised(logits.size());
  for (const int32_t id : history) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size() || penalised[id]) continue;
    penalised[id] = adjusted.rounded[id] = true;
    double& value = adjusted.values[id];
    value = value > 0 ? value / penalty : value * penalty;
  }
  return adjusted;
}

void Cluster(std::vector<Ranked>& ranked) {
  for (size_t i = 1; i < ranked.size(); ++i) {
    // An engine may sort probabilities: exp and its argument round too.
    const bool near =
        ranked[i].value == ranked[i - 1].value || NearTie(ranked[i - 1], ranked[i], 4 * kUnit);
    ranked[i].cluster = ranked[i - 1].cluster + (near ? 0 : 1);
  }
}

// `temperature` 0: nothing is scaled.
std::vector<Ranked> Rank(const Adjusted& adjusted, double temperature) {
  const std::vector<double>& logits = adjusted.values;
  const auto largest =
      static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const double divisor = temperature == 0 ? 1 : temperature;
  const auto own = [&](size_t i) {
    const bool uncentred = temperature > 1;
    const double rounding = 2 * kUnit * std::abs(logits[i]) + kSmallest;
    return adjusted.rounded[i] || uncentred ? rounding / divisor : 0;
  };
  const double scaling = temperature == 0 || temperature == 1 ? 0 : 4 * kUnit;
  std::vector<Ranked> ranked;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isinf(logits[i])) continue;
    const double distance = logits[largest] - logits[i];
    // Equal logits stay equal in any arithmetic that treats them alike.
    const bool same = distance == 0 && adjusted.rounded[i] == adjusted.rounded[largest];
    const double scaled = -distance / divisor;
    const double error = same ? 0 : -scaling * scaled + own(i) + own(largest);
    ranked.push_back({static_cast<int32_t>(i), logits[i], scaled, error, std::exp(scaled), 0});
  }
  std::sort(ranked.begin(), ranked.end(), Follows);
  Cluster(ranked);
  return ranked;
}

using Prefix = absl::Span<const Ranked>;

double Sum(Prefix ranked) {
  return std::accumulate(ranked.begin(), ranked.end(), 0.0,
                         [](double sum, const Ranked& r) { return sum + r.weight; });
}

// First order: each weight is off by its logit's error, the subtraction of the largest and exp; the
// sum, the division and the cumulative sum round once per term, the last two again after top-p.
double CumulativeError(Prefix ranked) {
  double weighted = 0;
  for (const Ranked& r : ranked) {
    if (r.weight > 0) {
      weighted += r.weight * (r.error - r.scaled * kUnit + 2 * kUnit);
    } else {
      weighted += r.LargestWeight();
    }
  }
  return 2 * weighted / Sum(ranked) + (3 * static_cast<double>(ranked.size()) + 8) * kUnit;
}

// Every filter keeps the first tokens of the ranking. How many is open where rounding decides, but
// equal values share their fate.
using Lengths = std::set<size_t>;

void AddGroupEnds(Prefix ranked, size_t least, size_t most, Lengths& lengths) {
  lengths.insert(least);
  for (size_t end = least + 1; end < most; ++end) {
    if (ranked[end].value != ranked[end - 1].value) lengths.insert(end);
  }
  lengths.insert(std::max(least, most));
}

void KeepTopK(Prefix ranked, int64_t top_k, const SamplingOrder& order, Lengths& lengths) {
  if (top_k <= 0 || static_cast<uint64_t>(top_k) >= ranked.size()) {
    lengths.insert(ranked.size());
    return;
  }
  auto least = static_cast<size_t>(top_k);
  if (!order.keeps_ties_at_k) {
    lengths.insert(least);
    return;
  }
  const Ranked& last = ranked[least - 1];
  while (least < ranked.size() && ranked[least].value == last.value) ++least;
  size_t most = least;
  while (most < ranked.size() && ranked[most].cluster == last.cluster) ++most;
  AddGroupEnds(ranked, least, most, lengths);
}

void KeepMinP(Prefix ranked, double min_p, Lengths& lengths) {
  const double threshold = std::min(min_p, 1.0);
  size_t least = ranked.size(), most = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const Ranked& r = ranked[i];
    const bool exact = r.weight == 0 || (r.error == 0 && r.scaled == 0);
    const double doubt = exact ? 0 : r.weight * (r.error + 4 * kUnit);
    if (r.weight - doubt < threshold) least = std::min(least, i);
    if (r.weight + doubt >= threshold) most = i + 1;
  }
  AddGroupEnds(ranked, std::max(least, size_t{1}), std::max(most, size_t{1}), lengths);
}

// What lies between the earliest and the latest cut has next to no mass.
void KeepTopP(Prefix ranked, double top_p, Lengths& lengths) {
  const double error = CumulativeError(ranked);
  const double sum = Sum(ranked);
  for (const double threshold : {std::max(top_p, 0.0) - error, std::max(top_p, 0.0) + error}) {
    double mass = 0;
    size_t length = 0;
    while (length < ranked.size()) {
      mass += ranked[length++].weight / sum;
      if (mass >= threshold) break;
    }
    lengths.insert(length);
  }
}

// The law of the first `length` tokens of the ranking.
LawReading ReadingOf(Prefix ranked, size_t length, size_t vocab) {
  LawReading reading{std::vector<double>(vocab), std::vector<double>(vocab),
                     std::vector<double>(vocab), std::vector<int32_t>(vocab)};
  std::iota(reading.outcome.begin(), reading.outcome.end(), 0);
  const double sum = Sum(ranked.first(length));
  double below = 0;
  for (size_t begin = 0; begin < length;) {
    size_t end = begin;
    double mass = 0;
    for (; end < ranked.size() && ranked[end].cluster == ranked[begin].cluster; ++end) {
      if (end < length) mass += ranked[end].weight / sum;
    }
    const bool equal = ranked[end - 1].value == ranked[begin].value;
    double at = below;
    for (size_t i = begin; i < end; ++i) {
      if (equal && i >= length) break;
      const auto token = static_cast<size_t>(ranked[i].token);
      const double own = i < length ? ranked[i].weight / sum : 0;
      reading.p[token] = own;
      reading.below[token] = equal ? at : below;
      at += own;
      reading.up_to[token] = equal ? at : below + mass;
      if (equal || end <= length) continue;
      // Which of the cluster are kept is open: one outcome with the mass of those that are.
      reading.outcome[token] = ranked[begin].token;
      reading.p[token] = i == begin ? mass : 0;
    }
    below += mass;
    begin = end;
  }
  return reading;
}

// The first of the largest, or each token that rounding may make it.
SamplingLaw GreedyLaw(const std::vector<Ranked>& ranked, size_t vocab) {
  SamplingLaw law;
  for (const Ranked& r : ranked) {
    const bool first = &r == ranked.data();
    const bool tied = r.value == ranked[0].value && r.error == 0;
    if (!first && (tied || !NearTie(r, ranked[0]))) continue;
    law.readings.push_back(ReadingOf({&r, 1}, 1, vocab));
  }
  return law;
}

SamplingLaw FilteredLaw(Prefix all, const SamplingParameters& parameters,
                        const SamplingOrder& order, size_t vocab) {
  Lengths lengths = {all.size()};
  const auto apply = [&](bool active, const auto& filter) {
    if (!active) return;
    Lengths kept;
    for (const size_t length : lengths) filter(all.first(length), kept);
    lengths = std::move(kept);
  };
  const auto min_p = [&](Prefix p, Lengths& kept) { KeepMinP(p, parameters.min_p, kept); };
  const auto top_p = [&](Prefix p, Lengths& kept) { KeepTopP(p, parameters.top_p, kept); };
  apply(parameters.top_k > 0,
        [&](Prefix p, Lengths& kept) { KeepTopK(p, parameters.top_k, order, kept); });
  apply(order.min_p_before_top_p && parameters.min_p > 0, min_p);
  apply(parameters.top_p < 1, top_p);
  apply(!order.min_p_before_top_p && parameters.min_p > 0, min_p);
  SamplingLaw law;
  for (const size_t length : lengths) {
    law.cumulative_error = std::max(law.cumulative_error, CumulativeError(all.first(length)));
    law.readings.push_back(ReadingOf(all, length, vocab));
  }
  return law;
}

absl::Status CheckInput(const std::vector<double>& logits, double temperature) {
  double largest = -INFINITY;
  for (const double logit : logits) {
    if (std::isnan(logit)) return absl::InvalidArgumentError("a logit is NaN");
    largest = std::max(largest, logit);
  }
  if (!std::isfinite(largest)) {
    return absl::InvalidArgumentError(absl::StrCat("the largest logit is ", largest));
  }
  if (!(temperature >= 0) || std::isinf(temperature)) {
    return absl::InvalidArgumentError(absl::StrCat("temperature ", temperature));
  }
  return absl::OkStatus();
}

}  // namespace

const SamplingOrder* FindSamplingOrder(std::string_view name) {
  for (const SamplingOrder* order : kSamplingOrders) {
    if (order->name == name) return order;
  }
  return nullptr;
}

absl::StatusOr<SamplingLaw> LawOfDraw(absl::Span<const double> logits,
                                      const SamplingParameters& parameters,
                                      absl::Span<const int32_t> history, const SamplingOrder& order,
                                      absl::Span<const double> bias) {
  if (!bias.empty() && bias.size() != logits.size()) {
    return absl::InvalidArgumentError("bias and logits have different lengths");
  }
  const Adjusted adjusted = Adjust(logits, bias, parameters.repetition_penalty, history);
  const double temperature = parameters.temperature;
  if (absl::Status status = CheckInput(adjusted.values, temperature); !status.ok()) return status;
  const bool greedy = temperature <= order.least_temperature;
  const std::vector<Ranked> ranked = Rank(adjusted, greedy ? 0 : temperature);
  return greedy ? GreedyLaw(ranked, logits.size())
                : FilteredLaw(ranked, parameters, order, logits.size());
}

}  // namespace crosscheck
