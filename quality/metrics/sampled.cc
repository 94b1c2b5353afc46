#include "quality/metrics/sampled.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "properties/statistics/e_value.h"
#include "properties/statistics/pooling.h"

namespace crosscheck::quality {
namespace {

template <class Float>
std::vector<double> Law(absl::Span<const Float> logits, double temperature) {
  double max = -HUGE_VAL, sum = 0;
  for (const Float z : logits) max = std::max(max, static_cast<double>(z));
  std::vector<double> p;
  p.reserve(logits.size());
  for (const Float z : logits) sum += p.emplace_back(std::exp((z - max) / temperature));
  for (double& value : p) value /= sum;
  return p;
}

double Total(absl::Span<const int64_t> counts) {
  double sum = 0;
  for (const int64_t count : counts) sum += static_cast<double>(count);
  return sum;
}

// Every distinct n-gram has a number; a generation is the numbers of its n-grams.
struct Pair {
  std::vector<int> reference, candidate;
};

std::vector<Pair> NumberNGrams(absl::Span<const PromptSamples> prompts, size_t n,
                               size_t& distinct) {
  std::map<std::vector<int32_t>, int> numbers;
  const auto read = [&](const std::vector<int32_t>& ids) {
    std::vector<int> grams;
    for (size_t i = 0; i + n <= ids.size(); ++i) {
      const std::vector<int32_t> gram(ids.begin() + static_cast<ptrdiff_t>(i),
                                      ids.begin() + static_cast<ptrdiff_t>(i + n));
      grams.push_back(numbers.emplace(gram, static_cast<int>(numbers.size())).first->second);
    }
    return grams;
  };
  std::vector<Pair> pairs;
  for (const PromptSamples& prompt : prompts) {
    for (size_t s = 0; s < prompt.reference.size(); ++s) {
      Pair pair;
      pair.reference = read(prompt.reference[s]);
      pair.candidate = read(prompt.candidate[s]);
      pairs.push_back(std::move(pair));
    }
  }
  distinct = numbers.size();
  return pairs;
}

}  // namespace

std::vector<double> LawAt(absl::Span<const float> logits, double temperature) {
  return Law(logits, temperature);
}
std::vector<double> LawAt(absl::Span<const double> logits, double temperature) {
  return Law(logits, temperature);
}

double DrawsAgainstLaw::squared_effect() const {
  if (draws == 0) return 0;
  return std::max(0.0,
                  (pearson.statistic - pearson.degrees_of_freedom) / static_cast<double>(draws));
}

DrawsAgainstLaw CompareDraws(absl::Span<const int64_t> counts, absl::Span<const double> p) {
  DrawsAgainstLaw result;
  for (const int64_t count : counts) result.draws += count;
  const Pooling pooling = PoolOutcomes(p, result.draws);
  std::vector<int64_t> observed(pooling.probability.size());
  std::vector<double> expected;
  expected.reserve(pooling.probability.size());
  for (const double mass : pooling.probability) {
    expected.push_back(mass * static_cast<double>(result.draws));
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    (pooling.cell_of[i] < 0 ? result.outside_support : observed[pooling.cell_of[i]]) += counts[i];
  }
  const PooledCounts merged = MergeRareCells(observed, expected);
  result.pearson = PearsonTest(merged.observed, merged.expected);
  result.likelihood_ratio = LikelihoodRatioTest(merged.observed, merged.expected);
  return result;
}

DrawsAgainstLaw Combine(absl::Span<const DrawsAgainstLaw> prompts) {
  DrawsAgainstLaw sum;
  const auto add = [](const TestResult& part, TestResult& total) {
    total.statistic += part.statistic;
    total.degrees_of_freedom += part.degrees_of_freedom;
    total.p_value = ChiSquareTail(total.statistic, total.degrees_of_freedom);
  };
  for (const DrawsAgainstLaw& prompt : prompts) {
    add(prompt.pearson, sum.pearson);
    add(prompt.likelihood_ratio, sum.likelihood_ratio);
    sum.draws += prompt.draws;
    sum.outside_support += prompt.outside_support;
  }
  return sum;
}

void SamplerEvidence::Add(absl::Span<const float> logits, double temperature,
                          absl::Span<const int64_t> counts) {
  const std::vector<double> p = LawAt(logits, temperature);
  int64_t draws = 0;
  for (const int64_t count : counts) draws += count;
  const Pooling pooling = PoolOutcomes(p, draws);
  MixtureEvidence mixture(pooling.probability);
  for (size_t i = 0; i < counts.size(); ++i) {
    for (int64_t n = 0; pooling.cell_of[i] >= 0 && n < counts[i]; ++n) {
      mixture.Add(static_cast<size_t>(pooling.cell_of[i]));
    }
  }
  cells_ += mixture.log_e();
  for (size_t f = 0; f < kFactors.size(); ++f) {
    const std::vector<double> q = LawAt(logits, kFactors[f] * temperature);
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 0 && p[i] > 0) {
        tempered_[f] += static_cast<double>(counts[i]) * std::log(q[i] / p[i]);
      }
    }
  }
}

double SamplerEvidence::log_e() const {
  std::vector<double> log_e = {cells_}, weights = {0.5};
  for (const double value : tempered_) {
    log_e.push_back(value);
    weights.push_back(0.5 / static_cast<double>(kFactors.size()));
  }
  return LogAverage(log_e, weights);
}

TestResult ShiftOfTemperature(absl::Span<const float> logits, double temperature, double factor,
                              int64_t draws) {
  std::vector<int64_t> expected;  // by such a sampler
  for (const double q : LawAt(logits, factor * temperature)) {
    expected.push_back(std::llround(q * static_cast<double>(draws)));
  }
  return CompareDraws(expected, LawAt(logits, temperature)).pearson;
}

double JensenShannonOfCounts(absl::Span<const int64_t> a, absl::Span<const int64_t> b) {
  const double a_total = Total(a), b_total = Total(b);
  if (a_total == 0 || b_total == 0) return 0;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double p = static_cast<double>(a[i]) / a_total, q = static_cast<double>(b[i]) / b_total;
    if (p > 0) sum += p * std::log(2 * p / (p + q));
    if (q > 0) sum += q * std::log(2 * q / (p + q));
  }
  return std::max(0.0, sum / 2);
}

double TotalVariationOfCounts(absl::Span<const int64_t> a, absl::Span<const int64_t> b) {
  const double a_total = Total(a), b_total = Total(b);
  if (a_total == 0 || b_total == 0) return 0;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += std::abs(static_cast<double>(a[i]) / a_total - static_cast<double>(b[i]) / b_total);
  }
  return sum / 2;
}

NGramDistance CompareNGrams(absl::Span<const PromptSamples> prompts, int n, Stream stream,
                            int swaps) {
  size_t distinct = 0;
  const std::vector<Pair> pairs = NumberNGrams(prompts, static_cast<size_t>(n), distinct);
  std::vector<int64_t> a, b;
  const auto divergence = [&](auto&& swapped) {
    a.assign(distinct, 0);
    b.assign(distinct, 0);
    for (const Pair& pair : pairs) {
      const bool swap = swapped();
      for (const int gram : pair.reference) ++(swap ? b : a)[gram];
      for (const int gram : pair.candidate) ++(swap ? a : b)[gram];
    }
    return JensenShannonOfCounts(a, b);
  };
  NGramDistance result;
  result.divergence = divergence([] { return false; });
  double mean = 0;
  int reached = 0;
  for (int r = 0; r < swaps; ++r) {
    const double value = divergence([&] { return stream.OneIn(2); });
    mean += value / swaps;
    reached += value >= result.divergence * (1 - 1e-12);  // the same counts in another order
  }
  result.excess = result.divergence - mean;
  result.p_value = (1.0 + reached) / (1.0 + swaps);
  return result;
}

}  // namespace crosscheck::quality
