#include "properties/judges/agreement.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"

namespace crosscheck {
namespace {

// The rows of `answer` at positions that `other` answers too.
LogitsAnswer SharedRows(const LogitsAnswer& answer, const LogitsAnswer& other) {
  LogitsAnswer shared;
  shared.dtype = answer.dtype;
  shared.path_ran = answer.path_ran;
  for (size_t s = 0; s < answer.sequences.size(); ++s) {
    const SequenceLogits& from = answer.sequences[s];
    const std::vector<int>& wanted = other.sequences[s].positions;
    SequenceLogits rows{.positions = {}, .vocab = from.vocab, .values = {}};
    for (size_t i = 0; i < from.positions.size(); ++i) {
      if (!std::binary_search(wanted.begin(), wanted.end(), from.positions[i])) continue;
      rows.positions.push_back(from.positions[i]);
      rows.values.insert(rows.values.end(), from.row(i).begin(), from.row(i).end());
    }
    shared.sequences.push_back(std::move(rows));
  }
  return shared;
}

bool SameBits(absl::Span<const double> a, absl::Span<const double> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

bool SameFiniteBits(const LogitsAnswer& a, const LogitsAnswer& b) {
  for (size_t s = 0; s < a.sequences.size(); ++s) {
    if (!SameBits(a.sequences[s].values, b.sequences[s].values)) return false;
  }
  return FirstNonfinite(a).logit < 0;
}

int CountRows(const LogitsAnswer& answer) {
  int rows = 0;
  for (const SequenceLogits& sequence : answer.sequences) {
    rows += static_cast<int>(sequence.positions.size());
  }
  return rows;
}

// The bounds of both sides, and how far apart the sides may be.
class PairBound {
 public:
  PairBound(const JudgedRows& a, const JudgedRows& b, double largest_exact)
      : rows_{a, b},
        bounds_{ErrorBound(CommittedErrorBounds().Find(BucketOf(a.c, a.path)), largest_exact,
                           a.judged.dtype),
                ErrorBound(CommittedErrorBounds().Find(BucketOf(b.c, b.path)), largest_exact,
                           b.judged.dtype)} {}

  double Of(Metric metric) const {
    return std::hypot(bounds_[0].Of(metric), bounds_[1].Of(metric));
  }
  double FloorOf(Metric metric) const {
    return std::hypot(bounds_[0].FloorOf(metric), bounds_[1].FloorOf(metric));
  }

  // As WidenUntil, on both sides in turn.
  std::optional<Verdict> WidenUntil(size_t first_a, size_t first_b, Observations& observations,
                                    const std::function<bool()>& passes) {
    const std::vector<ReferenceRun> of_a = PerturbedFrom(first_a), of_b = PerturbedFrom(first_b);
    for (size_t i = 0; i < of_a.size() && !passes(); ++i) {
      if (auto failed = Measure(0, of_a[i], observations)) return failed;
      if (auto failed = Measure(1, of_b[i], observations)) return failed;
    }
    return std::nullopt;
  }

 private:
  std::optional<Verdict> Measure(size_t side, ReferenceRun reference, Observations& observations) {
    if (!observations.Available(reference.observation)) return std::nullopt;
    Distances distances;
    auto failed = MeasureReference(rows_[side], reference, observations, distances);
    if (!failed) bounds_[side].Widen(distances);
    return failed;
  }

  const JudgedRows rows_[2];
  ErrorBound bounds_[2];
};

// Adds the measures of the pair and, when one is beyond its bound, makes it a finding.
void Conclude(const Distances& error, const PairBound& bound, Verdict& verdict) {
  const std::string& stage = verdict.signature.stage;
  for (Metric metric : kVerdictMetrics) {
    verdict.measures.push_back({.metric = std::string(kMetricNames[Index(metric)]),
                                .path = stage,
                                .error = error[Index(metric)],
                                .bound = bound.Of(metric),
                                .floor_bound = bound.FloorOf(metric)});
  }
  const auto excess = [](const Measure& m) { return m.error / m.bound; };
  const auto worst =
      std::max_element(verdict.measures.begin(), verdict.measures.end(),
                       [&](const Measure& a, const Measure& b) { return excess(a) < excess(b); });
  if (worst->error <= worst->bound) return;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.error = ErrorClass::kNumeric;
  verdict.marginal = excess(*worst) < kMarginalFactor;
  verdict.message = absl::StrFormat(
      "%s: the answers are %s %.4g apart, above %.4g (%.3g times); bucket %s", stage, worst->metric,
      worst->error, worst->bound, excess(*worst), verdict.bucket);
}

}  // namespace

// The two sides at the positions that both judge.
static Verdict JudgePair(const JudgedRows& a, size_t first_a, const JudgedRows& b, size_t first_b,
                         std::string_view stage, Observations& observations) {
  Verdict verdict;
  verdict.signature.stage = std::string(stage);
  verdict.judged = CountRows(a.judged);
  verdict.bucket = BucketOf(b.c, b.path).ToString();
  const Distances error = PoolDistances(a.judged, b.judged, a.judged).Result();
  PairBound bound(a, b, PoolDistances(a.exact, a.judged, a.judged).largest_exact());
  const auto passes = [&] {
    return std::all_of(std::begin(kVerdictMetrics), std::end(kVerdictMetrics),
                       [&](Metric m) { return error[Index(m)] <= bound.Of(m); });
  };
  if (auto failed = bound.WidenUntil(first_a, first_b, observations, passes)) return *failed;
  Conclude(error, bound, verdict);
  return verdict;
}

Verdict JudgeAgreement(const Side& a, const Side& b, std::string_view stage, size_t exact_run,
                       Observations& observations) {
  const LogitsAnswer first = SharedRows(a.answer, b.answer),
                     second = SharedRows(b.answer, a.answer);
  Verdict verdict;
  verdict.signature.stage = std::string(stage);
  verdict.judged = CountRows(first);
  if (verdict.judged == 0 || SameFiniteBits(first, second)) return verdict;

  LogitsAnswer exact;
  if (auto failed = ReadExactLogits(observations[exact_run], a.c, stage, exact)) return *failed;
  for (const LogitsAnswer* answer : {&first, &second}) {
    if (auto found = JudgeNonfinite(exact, *answer, stage)) return *found;
  }
  // A near tie on either path ends what can be compared.
  verdict = JudgeBeforeRouterTies(
      {a.c, a.path, exact, first}, PerturbedFrom(a.first_reference), observations,
      [&](const JudgedRows& before_a, Observations& visible_a) {
        const LogitsAnswer left = SharedRows(second, before_a.judged);
        return JudgeBeforeRouterTies(
            {b.c, b.path, exact, left}, PerturbedFrom(b.first_reference), visible_a,
            [&](const JudgedRows& before_b, Observations& visible) {
              const LogitsAnswer shared = SharedRows(before_a.judged, before_b.judged);
              return JudgePair({a.c, a.path, exact, shared}, a.first_reference, before_b,
                               b.first_reference, stage, visible);
            });
      });
  verdict.signature.stage = std::string(stage);
  return verdict;
}

namespace {

// What fp32 rounds in max + ln(sum exp(z - max)) - z: each of the V terms and sums to 2^-24 of the
// sum, which is the absolute error of its logarithm, and the values that are added.
double NllRounding(int vocab, double largest) {
  return (vocab + 8) * 0x1p-24 + kFloorUlps * Ulp(DType::kF32, largest);
}

// Positions 0..count-1 of the first sequence, none of the others.
LogitsAnswer FirstRows(const LogitsAnswer& exact, size_t count) {
  LogitsAnswer rows;
  rows.sequences = exact.sequences;
  for (SequenceLogits& sequence : rows.sequences) {
    sequence.positions.resize(&sequence == &rows.sequences.front() ? count : 0);
    sequence.values.resize(sequence.positions.size() * static_cast<size_t>(sequence.vocab));
  }
  return rows;
}

// At the positions that `rows` judges; the error and the largest value are of those.
Verdict JudgeNllRows(const JudgedRows& rows, absl::Span<const double> first,
                     absl::Span<const double> second, std::string_view stage,
                     size_t first_reference, Observations& observations) {
  double error = 0, largest = PoolDistances(rows.exact, rows.judged, rows.judged).largest_exact();
  PairBound bound(rows, rows, largest);
  const size_t count = rows.judged.sequences.front().positions.size();
  for (size_t i = 0; i < count; ++i) {
    error = std::max(error, std::abs(first[i] - second[i]));
    largest = std::max({largest, std::abs(first[i]), std::abs(second[i])});
  }
  const double rounding = NllRounding(rows.c.model->spec.vocab, largest);
  const auto allowed = [&] { return 2 * bound.Of(Metric::kCentredLinf) + rounding; };
  auto failed = bound.WidenUntil(first_reference, first_reference, observations,
                                 [&] { return error <= allowed(); });
  if (failed) return *failed;
  Verdict verdict;
  verdict.signature.stage = std::string(stage);
  verdict.judged = static_cast<int>(count);
  verdict.bucket = BucketOf(rows.c, rows.path).ToString();
  verdict.measures.push_back({.metric = "nll",
                              .path = verdict.signature.stage,
                              .error = error,
                              .bound = allowed(),
                              .floor_bound = 2 * bound.FloorOf(Metric::kCentredLinf) + rounding});
  if (error <= allowed()) return verdict;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.error = ErrorClass::kNumeric;
  verdict.marginal = error < kMarginalFactor * allowed();
  verdict.message = absl::StrFormat("%s: -ln p differs by %.4g, above %.4g; bucket %s",
                                    verdict.signature.stage, error, allowed(), verdict.bucket);
  return verdict;
}

}  // namespace

Verdict JudgeNllAgreement(const ModelRunCase& c, absl::Span<const double> first,
                          absl::Span<const double> second, std::string_view stage, size_t exact_run,
                          size_t first_reference, Observations& observations) {
  Verdict verdict;
  verdict.signature.stage = std::string(stage);
  verdict.judged = static_cast<int>(first.size());
  if (first.empty() || SameBits(first, second)) return verdict;
  LogitsAnswer exact;
  if (auto failed = ReadExactLogits(observations[exact_run], c, stage, exact)) return *failed;
  if (auto drift = JudgeNonfinite(exact, LogitsAnswer{}, stage)) return *drift;

  for (size_t i = 0; i < first.size(); ++i) {
    if (std::isfinite(first[i]) && std::isfinite(second[i])) continue;
    return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kNonfinite,
                       absl::StrCat("position ", i, ": ", first[i], " and ", second[i],
                                    "; the exact logits are finite"));
  }
  const LogitsAnswer rows = FirstRows(exact, first.size());
  verdict = JudgeBeforeRouterTies(
      {c, ModelPath::kReadout, exact, rows}, PerturbedFrom(first_reference), observations,
      [&](const JudgedRows& before, Observations& visible) {
        return JudgeNllRows(before, first, second, stage, first_reference, visible);
      });
  verdict.signature.stage = std::string(stage);
  return verdict;
}

bool AddPassed(const Verdict& part, Verdict& sum) {
  if (part.kind != VerdictKind::kPass && part.kind != VerdictKind::kNearTie) return false;
  if (part.kind == VerdictKind::kNearTie) {
    sum.kind = part.kind;
    sum.message = part.message;
  }
  sum.judged += part.judged;
  sum.near_ties += part.near_ties;
  for (const Measure& measure : part.measures) {
    const auto known = std::find_if(
        sum.measures.begin(), sum.measures.end(),
        [&](const Measure& m) { return m.metric == measure.metric && m.path == measure.path; });
    if (known == sum.measures.end()) {
      sum.measures.push_back(measure);
    } else if (measure.error * known->bound > known->error * measure.bound) {
      *known = measure;
    }
  }
  return true;
}

}  // namespace crosscheck
