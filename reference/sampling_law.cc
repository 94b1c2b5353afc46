#include "reference/sampling_law.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr double kUnit = 0x1p-24;  // roundoff of single precision

// Tokens that can be drawn, in decreasing order of their scaled logits, lower ids first.
struct Ranked {
  int32_t token;
  double value;   // logit after bias and penalty
  double scaled;  // (logit - largest) / temperature, at most 0
  double error;   // bound on the error of `scaled`
  double weight;  // exp(scaled)
  int cluster;    // equal for a chain of logits whose order rounding may change
};

// How the open decisions are taken.
struct Choices {
  bool near_ties_are_ties = false, loose_min_p = false, late_top_p = false;
};

bool Follows(const Ranked& a, const Ranked& b) {
  return a.value != b.value ? a.value > b.value : a.token < b.token;
}

// What cannot be drawn has no order. `further` is allowed on top of the errors of the scaled
// logits.
bool NearTie(const Ranked& a, const Ranked& b, double further = 0) {
  const double allowed = a.error + b.error + further;
  return a.weight > 0 && b.weight > 0 && std::abs(a.scaled - b.scaled) <= allowed;
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
    return adjusted.rounded[i] || uncentred ? 2 * kUnit * std::abs(logits[i]) / divisor : 0;
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

// Rounding may merge or swap near-equal values; merged ones are ordered by id.
void OrderNearTiesById(std::vector<Ranked>& ranked) {
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.cluster != b.cluster ? a.cluster < b.cluster : a.token < b.token;
  });
}

double Sum(const std::vector<Ranked>& ranked) {
  return std::accumulate(ranked.begin(), ranked.end(), 0.0,
                         [](double sum, const Ranked& r) { return sum + r.weight; });
}

// First order: each weight is off by its logit's error, the subtraction of the largest and exp; the
// sum, the division and the cumulative sum round once per term, the last two again after top-p.
double CumulativeError(const std::vector<Ranked>& ranked) {
  double weighted = 0;
  for (const Ranked& r : ranked) {
    if (r.weight > 0) weighted += r.weight * (r.error - r.scaled * kUnit + 2 * kUnit);
  }
  return 2 * weighted / Sum(ranked) + (3 * static_cast<double>(ranked.size()) + 8) * kUnit;
}

void KeepTopK(std::vector<Ranked>& ranked, int64_t top_k, const SamplingOrder& order,
              const Choices& choices) {
  if (top_k <= 0 || static_cast<uint64_t>(top_k) >= ranked.size()) return;
  auto end = static_cast<size_t>(top_k);
  const Ranked last = ranked[end - 1];
  const auto tied = [&](const Ranked& r) {
    return choices.near_ties_are_ties ? r.cluster == last.cluster : r.value == last.value;
  };
  while (order.keeps_ties_at_k && end < ranked.size() && tied(ranked[end])) ++end;
  ranked.resize(end);
}

void KeepMinP(std::vector<Ranked>& ranked, double min_p, const Choices& choices) {
  if (!(min_p > 0)) return;
  const double threshold = std::min(min_p, 1.0);
  const auto dropped = [&](const Ranked& r) {
    const bool exact = r.weight == 0 || (r.error == 0 && r.scaled == 0);
    const double doubt = exact ? 0 : r.weight * (r.error + 4 * kUnit);
    return choices.loose_min_p ? r.weight + doubt < threshold : r.weight - doubt < threshold;
  };
  ranked.erase(std::remove_if(ranked.begin(), ranked.end(), dropped), ranked.end());
}

void KeepTopP(std::vector<Ranked>& ranked, double top_p, const Choices& choices) {
  if (!(top_p < 1)) return;
  const double error = CumulativeError(ranked);
  const double threshold = std::max(top_p, 0.0) + (choices.late_top_p ? error : -error);
  const double sum = Sum(ranked);
  double mass = 0;
  for (size_t i = 0; i < ranked.size(); ++i) {
    mass += ranked[i].weight / sum;
    if (mass < threshold) continue;
    ranked.resize(i + 1);
    return;
  }
}

LawReading ReadingOf(const std::vector<Ranked>& ranked, size_t vocab) {
  LawReading reading;
  reading.p.assign(vocab, 0);
  reading.below.assign(vocab, 0);
  reading.up_to.assign(vocab, 0);
  const double sum = Sum(ranked);
  double below = 0;
  for (size_t begin = 0; begin < ranked.size();) {
    size_t end = begin + 1;
    bool equal = true;
    while (end < ranked.size() && ranked[end].cluster == ranked[begin].cluster) {
      equal = equal && ranked[end].value == ranked[begin].value;
      ++end;
    }
    double mass = 0;
    for (size_t i = begin; i < end; ++i) mass += ranked[i].weight / sum;
    double at = below;
    for (size_t i = begin; i < end; ++i) {
      const auto token = static_cast<size_t>(ranked[i].token);
      reading.p[token] = ranked[i].weight / sum;
      reading.below[token] = equal ? at : below;
      at += reading.p[token];
      reading.up_to[token] = equal ? at : below + mass;
    }
    below += mass;
    begin = end;
  }
  return reading;
}

void AddReading(std::vector<LawReading>& readings, LawReading reading) {
  const bool known = std::any_of(readings.begin(), readings.end(),
                                 [&](const LawReading& r) { return r.p == reading.p; });
  if (!known) readings.push_back(std::move(reading));
}

// The first of the largest, or each token that rounding may make it.
SamplingLaw GreedyLaw(const std::vector<Ranked>& ranked, size_t vocab) {
  SamplingLaw law;
  for (const Ranked& r : ranked) {
    const bool first = &r == ranked.data();
    const bool tied = r.value == ranked[0].value && r.error == 0;
    if (first || (!tied && NearTie(r, ranked[0]))) AddReading(law.readings, ReadingOf({r}, vocab));
  }
  return law;
}

// One reading for each way to take the open decisions that there can be.
SamplingLaw FilteredLaw(const std::vector<Ranked>& all, const SamplingParameters& parameters,
                        const SamplingOrder& order, size_t vocab) {
  SamplingLaw law;
  const bool clusters = all.back().cluster + 1 < static_cast<int>(all.size());
  const int open =
      (clusters ? 1 : 0) | (parameters.min_p > 0 ? 2 : 0) | (parameters.top_p < 1 ? 4 : 0);
  for (int bits = 0; bits < 8; ++bits) {
    if ((bits & ~open) != 0) continue;
    const Choices choices{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    std::vector<Ranked> ranked = all;
    if (choices.near_ties_are_ties) OrderNearTiesById(ranked);
    KeepTopK(ranked, parameters.top_k, order, choices);
    if (order.min_p_before_top_p) KeepMinP(ranked, parameters.min_p, choices);
    KeepTopP(ranked, parameters.top_p, choices);
    if (!order.min_p_before_top_p) KeepMinP(ranked, parameters.min_p, choices);
    law.cumulative_error = std::max(law.cumulative_error, CumulativeError(ranked));
    AddReading(law.readings, ReadingOf(ranked, vocab));
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
