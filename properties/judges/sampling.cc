#include "properties/judges/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "absl/strings/str_format.h"
#include "properties/statistics/e_value.h"
#include "properties/statistics/independence.h"
#include "properties/statistics/pooling.h"

namespace crosscheck {
namespace {

constexpr size_t kTransformBins = 16;
constexpr double kExtremeShare = 1e-3;

bool OneLaw(const DrawnBlock& block) { return block.law_of.empty(); }

const SamplingLaw& LawOf(const DrawnBlock& block, size_t draw) {
  return block.laws[OneLaw(block) ? 0 : static_cast<size_t>(block.law_of[draw])];
}

bool Allows(const LawReading& reading, int32_t token) {
  return token >= 0 && static_cast<size_t>(token) < reading.p.size() &&
         reading.p[reading.outcome[token]] > 0;
}

bool SomeReadingAllows(const SamplingLaw& law, int32_t token) {
  return std::any_of(law.readings.begin(), law.readings.end(),
                     [token](const LawReading& reading) { return Allows(reading, token); });
}

// Randomised transforms of the draws; under the law they are independent and uniform.
std::vector<double> Transforms(const DrawnBlock& block, int reading, Stream v) {
  std::map<std::pair<int, int32_t>, std::pair<double, double>> before;  // and own
  std::vector<double> u;
  u.reserve(block.tokens.size());
  for (size_t t = 0; t < block.tokens.size(); ++t) {
    const double share = static_cast<double>(v.Next() >> 11) * 0x1p-53;
    const SamplingLaw& law = LawOf(block, t);
    if (!OneLaw(block) && law.readings.size() > 1) continue;
    const LawReading& own = law.readings[OneLaw(block) ? reading : 0];
    const int32_t outcome = own.outcome[block.tokens[t]];
    const auto [found, is_new] = before.try_emplace({OneLaw(block) ? 0 : block.law_of[t], outcome});
    if (is_new) found->second = {RandomisedTransform(own.p, outcome, 0), own.p[outcome]};
    u.push_back(found->second.first + share * found->second.second);
  }
  return u;
}

// The fixed cells of a block and where its draws fell.
struct Cells {
  std::vector<double> probability;
  std::vector<size_t> drawn;
  bool has_tail = false;
};

Cells CellsOf(const DrawnBlock& block, int reading, const std::vector<double>& u) {
  Cells cells;
  if (OneLaw(block)) {
    const LawReading& law = block.laws[0].readings[reading];
    const Pooling pooling = PoolOutcomes(law.p, static_cast<int64_t>(block.tokens.size()));
    cells.probability = pooling.probability;
    cells.has_tail = pooling.has_tail;
    for (const int32_t token : block.tokens) {
      cells.drawn.push_back(static_cast<size_t>(pooling.cell_of[law.outcome[token]]));
    }
    return cells;
  }
  cells.probability.assign(kTransformBins, 1.0 / kTransformBins);
  for (const double value : u) {
    cells.drawn.push_back(
        std::min(static_cast<size_t>(value * kTransformBins), kTransformBins - 1));
  }
  return cells;
}

void ScreenCells(const Cells& cells, Screen& screen) {
  const auto n = static_cast<double>(cells.drawn.size());
  std::vector<int64_t> observed(cells.probability.size());
  for (const size_t cell : cells.drawn) ++observed[cell];
  std::vector<double> expected = cells.probability;
  for (double& value : expected) value *= n;
  const PooledCounts counts = MergeRareCells(observed, expected);
  screen.pearson = PearsonTest(counts.observed, counts.expected);
  screen.likelihood_ratio = LikelihoodRatioTest(counts.observed, counts.expected);
  if (cells.has_tail) {
    screen.tail = std::min(
        1.0, BinomialUpperTail(observed[0], static_cast<int64_t>(n), cells.probability[0]));
  }
}

double SumOfSquares(const std::vector<double>& p) {
  double sum = 0;
  for (const double value : p) sum += value * value;
  return sum;
}

double LogLagEvidence(const std::vector<double>& u) {
  std::vector<double> log_e;
  for (int lag = 1; lag <= kLags; ++lag) {
    constexpr size_t kCells = kLagBins * kLagBins;
    MixtureEvidence evidence(std::vector<double>(kCells, 1.0 / kCells));
    for (const int cell : LagCells(u, lag)) evidence.Add(static_cast<size_t>(cell));
    log_e.push_back(evidence.log_e());
  }
  return LogAverage(log_e, std::vector<double>(log_e.size(), 1.0 / kLags));
}

// Equality of neighbours that share no draw: a fixed probability under one law.
double LogCollisionEvidence(const DrawnBlock& block, int reading) {
  if (!OneLaw(block)) return 0;
  const LawReading& law = block.laws[0].readings[reading];
  const double equal = SumOfSquares(law.p);
  if (1 - equal < 1e-12) return 0;
  MixtureEvidence evidence({equal, 1 - equal});
  for (size_t t = 0; t + 1 < block.tokens.size(); t += 2) {
    const bool same = law.outcome[block.tokens[t]] == law.outcome[block.tokens[t + 1]];
    evidence.Add(same ? 0 : 1);
  }
  return evidence.log_e();
}

}  // namespace

bool RoundingDecides(const DrawnBlock& block) {
  constexpr double kLargestError = 1e-3;
  return std::any_of(block.laws.begin(), block.laws.end(), [](const SamplingLaw& law) {
    return !(law.cumulative_error <= kLargestError);
  });
}

std::vector<int> AllowedReadings(const DrawnBlock& block) {
  std::vector<int> allowed;
  const size_t readings = OneLaw(block) ? block.laws[0].readings.size() : 1;
  for (size_t r = 0; r < readings; ++r) {
    bool all = true;
    for (size_t t = 0; all && t < block.tokens.size(); ++t) {
      all = OneLaw(block) ? Allows(block.laws[0].readings[r], block.tokens[t])
                          : SomeReadingAllows(LawOf(block, t), block.tokens[t]);
    }
    if (all) allowed.push_back(static_cast<int>(r));
  }
  return allowed;
}

std::string SupportViolation(const DrawnBlock& block) {
  if (!AllowedReadings(block).empty()) return "";
  for (size_t t = 0; t < block.tokens.size(); ++t) {
    const int32_t token = block.tokens[t];
    const SamplingLaw& law = LawOf(block, t);
    if (SomeReadingAllows(law, token)) continue;
    return absl::StrFormat(
        "draw %d of %d is token %d, which occurs %d times: its probability is 0 (%d tokens have a "
        "positive one)",
        t, block.tokens.size(), token, std::count(block.tokens.begin(), block.tokens.end(), token),
        std::count_if(law.readings[0].p.begin(), law.readings[0].p.end(),
                      [](double p) { return p > 0; }));
  }
  return absl::StrFormat(
      "each token is allowed by one of %d readings of the law, but no reading allows them all",
      block.laws[0].readings.size());
}

double Screen::SmallestPValue() const {
  return std::min(
      {pearson.p_value, likelihood_ratio.p_value, tail, uniformity, extreme, lags, collisions});
}

std::string Screen::ToString() const {
  return absl::StrFormat(
      "chi-square %.4g, df %d, p %.3g; G %.4g, p %.3g; tail cell p %.3g; Kolmogorov-Smirnov p "
      "%.3g; "
      "extreme tail p %.3g; lags 1-8 p %.3g; collisions p %.3g",
      pearson.statistic, pearson.degrees_of_freedom, pearson.p_value, likelihood_ratio.statistic,
      likelihood_ratio.p_value, tail, uniformity, extreme, lags, collisions);
}

Screen ScreenBlock(const DrawnBlock& block, int reading, Stream v) {
  Screen screen;
  const std::vector<double> u = Transforms(block, reading, v);
  ScreenCells(CellsOf(block, reading, u), screen);
  screen.uniformity = KolmogorovSmirnovTest(u).p_value;
  screen.extreme = ExtremeTailTest(u, kExtremeShare);
  for (int lag = 1; lag <= kLags; ++lag) {
    screen.lags = std::min(screen.lags, kLags * LagTest(u, lag).p_value);
  }
  if (OneLaw(block)) {
    const LawReading& law = block.laws[0].readings[reading];
    std::vector<int64_t> counts(law.p.size());
    for (const int32_t token : block.tokens) ++counts[law.outcome[token]];
    screen.collisions = CollisionTest(counts, law.p).p_value;
  }
  return screen;
}

double LogEvidence(const DrawnBlock& block, int reading, Stream v) {
  const std::vector<double> u = Transforms(block, reading, v);
  const Cells cells = CellsOf(block, reading, u);
  MixtureEvidence law(cells.probability);
  for (const size_t cell : cells.drawn) law.Add(cell);
  return LogAverage({law.log_e(), LogLagEvidence(u), LogCollisionEvidence(block, reading)},
                    {0.5, 0.25, 0.25});
}

}  // namespace crosscheck
