#include "properties/judges/tolerance.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/failure.h"
#include "properties/judges/router.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

// Calls visit(sequence, position, exact row, engine row) at every judged position; the exact answer
// holds them all.
template <class Visit>
void ForEachRow(const JudgedRows& rows, Visit visit) {
  for (size_t s = 0; s < rows.judged.sequences.size(); ++s) {
    const SequenceLogits& engine = rows.judged.sequences[s];
    for (size_t i = 0; i < engine.positions.size(); ++i) {
      int position = engine.positions[i];
      visit(static_cast<int>(s), position, rows.exact.sequences[s].row(position), engine.row(i));
    }
  }
}

// The place of the largest centred error.
struct WorstPlace {
  int sequence = 0, position = 0, logit = 0;
  double engine = 0, exact = 0, error = -1;
};

WorstPlace FindWorst(const JudgedRows& rows) {
  WorstPlace worst;
  ForEachRow(rows, [&](int sequence, int position, auto exact, auto engine) {
    double mean = 0;
    for (size_t i = 0; i < exact.size(); ++i) mean += engine[i] - exact[i];
    mean /= static_cast<double>(exact.size());
    for (size_t i = 0; i < exact.size(); ++i) {
      double error = std::abs(engine[i] - exact[i] - mean);
      if (error > worst.error) {
        worst = {sequence, position, static_cast<int>(i), engine[i], exact[i], error};
      }
    }
  });
  return worst;
}

// |d ln p| of the actual next tokens. Its bound is the identity of judging.md 3.4 and never decides
// a verdict.
Measure MeasureNll(const JudgedRows& rows, const ErrorBound& bound) {
  Measure nll{.metric = "nll",
              .path = PathName(rows.path),
              .error = 0,
              .bound = 2 * bound.Of(Metric::kCentredLinf),
              .floor_bound = 2 * bound.FloorOf(Metric::kCentredLinf)};
  ForEachRow(rows, [&](int sequence, int position, auto exact, auto engine) {
    const std::vector<int32_t>& ids = rows.c.sequences[sequence].ids;
    if (position + 1 >= static_cast<int>(ids.size())) return;
    nll.error = std::max(nll.error, NllDifference(exact, engine, ids[position + 1]));
  });
  return nll;
}

std::string Explain(const JudgedRows& rows, const ErrorBound& bound, const Distances& error,
                    const std::string& bucket) {
  Metric worst = Metric::kCentredLinf;
  for (Metric metric : kVerdictMetrics) {
    if (error[Index(metric)] / bound.Of(metric) > error[Index(worst)] / bound.Of(worst)) {
      worst = metric;
    }
  }
  WorstPlace place = FindWorst(rows);
  return absl::StrFormat(
      "path %s: %s %.4g is above its bound %.4g (%.3g times); bucket %s\n"
      "largest at sequence %d, position %d, logit %d: engine %.9g, exact %.17g",
      PathName(rows.path), std::string(kMetricNames[Index(worst)]), error[Index(worst)],
      bound.Of(worst), error[Index(worst)] / bound.Of(worst), bucket, place.sequence,
      place.position, place.logit, place.engine, place.exact);
}

}  // namespace

namespace {
constexpr int kPerturbedVariants = 3;
constexpr int kNudges = 12;
static_assert(kReferenceRuns == 1 + kPerturbedVariants * (1 + kNudges));

DerivedRequest AskingForRouters(const DerivedRequest& wanted,
                                const std::shared_ptr<const ModelRecipe>& model) {
  if (!TraitsOf(model->spec.family).mixture) return wanted;
  return [wanted, model](Observations& observations) {
    return WithRouter(wanted(observations), model->spec);
  };
}

}  // namespace

Run ReferenceAt(size_t i) {
  if (i == 0) {
    return {.role = Role::kTorch, .variant = static_cast<int>(TorchPrecision::kFp32)};
  }
  return PerturbedAt(i - 1);
}

Run PerturbedAt(size_t i) {
  const int place = static_cast<int>(i);
  return {.role = Role::kPerturbed,
          .variant = 1 + place % kPerturbedVariants,
          .nudge = place / kPerturbedVariants};
}

namespace {

void AppendAlike(Runs& plan, size_t count, Run (*reference)(size_t),
                 const std::shared_ptr<const ModelRecipe>& model, const DerivedRequest& wanted) {
  const DerivedRequest derive = AskingForRouters(wanted, model);
  plan.AppendSeries(count, [reference, model, derive](size_t i) {
    Run run = reference(i);
    run.model = model;
    run.derive = derive;
    return run;
  });
}

}  // namespace

void AppendReferences(Runs& plan, const std::shared_ptr<const ModelRecipe>& model,
                      const DerivedRequest& wanted) {
  AppendAlike(plan, kReferenceRuns, ReferenceAt, model, wanted);
}

void AppendPerturbed(Runs& plan, const std::shared_ptr<const ModelRecipe>& model,
                     const DerivedRequest& wanted) {
  AppendAlike(plan, kPerturbedRuns, PerturbedAt, model, wanted);
}

std::vector<ReferenceRun> ReferencesFrom(size_t first) {
  std::vector<ReferenceRun> references = PerturbedFrom(first + 1);
  references.insert(references.begin() + kPerturbedVariants, LibtorchFrom(first));
  return references;
}

std::vector<ReferenceRun> PerturbedFrom(size_t first) {
  std::vector<ReferenceRun> references = {{first + 1, "exact:fp32-chunked-reversed"},
                                          {first, "exact:fp32"},
                                          {first + 2, "exact:fp32-chunked-pairwise"}};
  for (size_t i = first + kPerturbedVariants; i < first + kPerturbedRuns; ++i) {
    references.push_back({i, "exact in fp32 on nudged weights"});
  }
  return references;
}

BucketKey BucketOf(const ModelRunCase& c, ModelPath path) {
  size_t longest = 0;
  for (const SequenceCase& sequence : c.sequences) longest = std::max(longest, sequence.ids.size());
  return {.family = c.model->spec.family,
          .path = "f32-" + PathName(path),
          .depth = DepthClass(static_cast<int>(c.model->spec.layers.size())),
          .length = LengthClass(static_cast<int>(longest)),
          .style = c.model->weights.style};
}

namespace {

// A verdict of its own when the reference fails, lies or is not finite.
std::optional<Verdict> ReadReference(const JudgedRows& rows, ReferenceRun reference,
                                     Observations& observations, LogitsAnswer& result) {
  std::string stage = PathName(rows.path), name(reference.name);
  const Reply& reply = observations[reference.observation];
  if (!reply.ok()) return ReferenceFailure(*reply.failure, name, stage);
  auto answer = ReadLogits(reply.message, rows.c, rows.path);
  if (!answer.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       absl::StrCat("the reference ", name, ": ", answer.status().message()));
  }
  LogitPlace place = FirstNonfinite(*answer);
  if (place.logit >= 0) {
    return MakeVerdict(VerdictKind::kReferenceDrift, stage, ErrorClass::kNonfinite,
                       absl::StrCat("the reference ", name, " has ", place.value, " at sequence ",
                                    place.sequence, ", position ", place.position, ", logit ",
                                    place.logit, "; the exact model is finite there"));
  }
  result = *std::move(answer);
  return std::nullopt;
}

// How many references the routers' near ties come from at first; these are the cheapest.
constexpr size_t kFirstRouterReferences = 3;

// The engine's and the exact model's observations alone.
class WithoutReferences final : public Observations {
 public:
  explicit WithoutReferences(Observations& observations) : observations_(observations) {}
  const Reply& operator[](size_t i) override { return observations_[i]; }
  bool Available(size_t) const override { return false; }
  std::string_view engine_family() const override { return observations_.engine_family(); }

 private:
  Observations& observations_;
};

bool AnyWanted(absl::Span<const ReferenceRun> references, const Observations& observations) {
  return std::any_of(references.begin(), references.end(), [&](const ReferenceRun& reference) {
    return observations.Wanted(reference.observation);
  });
}

void CountRouterTies(int dropped, const std::string& stage, Verdict& verdict) {
  verdict.near_ties += dropped;
  if (dropped == 0 || verdict.kind != VerdictKind::kPass) return;
  verdict.kind = VerdictKind::kNearTie;
  verdict.signature.stage = stage;
  verdict.message = absl::StrCat(dropped, " positions are behind a near tie of a router");
}

}  // namespace

Verdict JudgeBeforeRouterTies(
    const JudgedRows& rows, absl::Span<const ReferenceRun> references, Observations& observations,
    const std::function<Verdict(const JudgedRows&, Observations&)>& judge) {
  if (rows.exact.routers.empty()) return judge(rows, observations);
  const BucketBounds* bucket = CommittedErrorBounds().Find(BucketOf(rows.c, rows.path));
  RouterTies ties(bucket, rows.c.model->spec.experts_per_token, rows.exact);
  std::vector<LogitsAnswer> consulted;
  Verdict verdict;
  const auto judge_before_ties = [&](Observations& visible) {
    int dropped = 0;
    const LogitsAnswer before = ties.Before(rows.judged, dropped);
    const bool nothing_left =
        std::all_of(before.sequences.begin(), before.sequences.end(),
                    [](const SequenceLogits& sequence) { return sequence.positions.empty(); });
    verdict = nothing_left ? Verdict() : judge({rows.c, rows.path, rows.exact, before}, visible);
    CountRouterTies(dropped, PathName(rows.path), verdict);
    return verdict.kind != VerdictKind::kEngineBug;
  };
  if (!AnyWanted(references, observations)) {
    WithoutReferences floor_only(observations);
    if (judge_before_ties(floor_only)) return verdict;
  }
  for (size_t wanted : {kFirstRouterReferences, references.size()}) {
    for (size_t i = wanted == references.size() ? kFirstRouterReferences : 0; i < wanted; ++i) {
      if (!observations.Available(references[i].observation)) continue;
      auto failed = ReadReference(rows, references[i], observations, consulted.emplace_back());
      if (failed) return *failed;
    }
    ties.Consult(consulted);
    if (judge_before_ties(observations)) break;
  }
  return verdict;
}

std::optional<Verdict> MeasureReference(const JudgedRows& rows, ReferenceRun reference,
                                        Observations& observations, Distances& distances) {
  LogitsAnswer answer;
  auto failed = ReadReference(rows, reference, observations, answer);
  if (failed) return failed;
  distances = PoolDistances(rows.exact, answer, rows.judged).Result();
  return std::nullopt;
}

std::optional<Verdict> WidenUntil(const JudgedRows& rows, absl::Span<const ReferenceRun> references,
                                  Observations& observations, ErrorBound& bound,
                                  const std::function<bool()>& passes) {
  for (const ReferenceRun& reference : references) {
    if (passes()) return std::nullopt;
    if (!observations.Available(reference.observation)) continue;
    Distances distances;
    auto failed = MeasureReference(rows, reference, observations, distances);
    if (failed) return failed;
    bound.Widen(distances);
  }
  return std::nullopt;
}

static Verdict JudgeRows(const JudgedRows& rows, size_t first_reference,
                         Observations& observations) {
  DistancePool pool = PoolDistances(rows.exact, rows.judged, rows.judged);
  Distances error = pool.Result();
  BucketKey key = BucketOf(rows.c, rows.path);
  ErrorBound bound(CommittedErrorBounds().Find(key), pool.largest_exact(), rows.judged.dtype);
  auto passes = [&] { return bound.Covers(error); };
  auto failed = WidenUntil(rows, ReferencesFrom(first_reference), observations, bound, passes);
  if (failed) return *failed;

  Verdict verdict;
  verdict.signature.stage = PathName(rows.path);
  verdict.judged = pool.rows();
  verdict.bucket = key.ToString();
  const ReferenceRun torch = LibtorchFrom(first_reference);
  bool report = observations.Wanted(torch.observation) && observations.Available(torch.observation);
  Distances torch_error{};
  if (report) failed = MeasureReference(rows, torch, observations, torch_error);
  if (failed) return *failed;
  for (Metric metric : kVerdictMetrics) {
    size_t i = Index(metric);
    verdict.measures.push_back({.metric = std::string(kMetricNames[i]),
                                .path = verdict.signature.stage,
                                .error = error[i],
                                .bound = bound.Of(metric),
                                .floor_bound = bound.FloorOf(metric),
                                .reference_error = report ? torch_error[i] : -1});
  }
  bool found = !passes();
  if (report || found) verdict.measures.push_back(MeasureNll(rows, bound));
  if (!found) return verdict;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.error = ErrorClass::kNumeric;
  verdict.marginal = bound.WorstRatio(error) < kMarginalFactor;
  verdict.message = Explain(rows, bound, error, verdict.bucket);
  return verdict;
}

Verdict JudgeTolerance(const JudgedRows& rows, size_t first_reference, Observations& observations) {
  return JudgeBeforeRouterTies(rows, ReferencesFrom(first_reference), observations,
                               [&](const JudgedRows& before, Observations& visible) {
                                 return JudgeRows(before, first_reference, visible);
                               });
}

}  // namespace crosscheck
