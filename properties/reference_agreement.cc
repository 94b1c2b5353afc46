// libtorch in fp64 and the exact model, each written from the specification, are the same function
// to fp64 rounding.
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/router.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

// What fp64 rounding alone does to a case: other orders of summation, in fp64.
constexpr std::array kFp64Orders = {ExactVariant::kFp64ChunkedReversed,
                                    ExactVariant::kFp64ChunkedPairwise};
// Per path: libtorch in fp64, the fp64 orders, the fp32 references.
constexpr size_t kFp64Runs = 1 + kFp64Orders.size();
constexpr size_t kRunsOfAPath = kFp64Runs + kReferenceRuns;

// Every case compares a prefill over all positions; session cases compare their chunks and steps as
// well.
std::vector<ModelPath> Paths(const ModelRunCase& c) {
  std::vector<ModelPath> paths = {ModelPath::kReadout};
  if (c.path == ModelPath::kSession) paths.push_back(ModelPath::kSession);
  return paths;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  Runs plan;
  plan.push_back({.role = Role::kExact, .model = c.model, .request = ExactRequest(c)});
  for (ModelPath path : Paths(c)) {
    plan.push_back({.role = Role::kTorch,
                    .variant = static_cast<int>(TorchPrecision::kFp64),
                    .model = c.model,
                    .request = LogitsRequest(c, path)});
    for (ExactVariant order : kFp64Orders) {
      plan.push_back({.role = Role::kPerturbed,
                      .variant = static_cast<int>(order),
                      .model = c.model,
                      .request = LogitsRequest(c, path)});
    }
    AppendReferences(plan, c.model, [erased, path](Observations&) {
      return LogitsRequest(erased.As<ModelRunCase>(), path);
    });
  }
  return plan;
}

// The allowed difference: capped, and what conditioning alone would explain.
struct Allowed {
  double bound = 0;
  double explained = 0;
};

// From the table alone.
Allowed FromTable(const BucketBounds* bucket, double largest) {
  double cap = kLargestFp64Spread * largest;
  if (bucket == nullptr) return {cap, cap};
  double rounding = kFloorUlps * Ulp(DType::kF64, largest);
  double spread = kReferenceMultiplier * bucket->fp64_spread * largest + rounding;
  return {std::min(cap, spread), spread};
}

// What a reference that is off by `shown` explains.
void Explain(double shown, double largest, Allowed& allowed) {
  allowed.explained = std::max(allowed.explained, kReferenceMultiplier * kLuck * shown +
                                                      kFloorUlps * Ulp(DType::kF64, largest));
  allowed.bound = std::min(kLargestFp64Spread * largest, allowed.explained);
}

// Adds what the references of the case show, one by one, until `error` is within the bound or
// explained. Where a case is discontinuous on the scale of fp32 rounding (a gated norm over one
// channel), the fp32 references saturate and only the fp64 orders show its conditioning.
std::optional<Verdict> Widen(const JudgedRows& rows, size_t first, Observations& observations,
                             double largest, double error, Allowed& allowed) {
  for (size_t i = 0; i < kFp64Orders.size() && error > allowed.bound; ++i) {
    ReferenceRun run{first + 1 + i, kExactVariantNames[static_cast<size_t>(kFp64Orders[i])]};
    Distances fp64;
    if (auto failed = MeasureReference(rows, run, observations, fp64)) return failed;
    Explain(fp64[Index(Metric::kLinf)], largest, allowed);
  }
  double worst = kFloorUlps * Ulp(DType::kF32, largest);
  for (const ReferenceRun& run : ReferencesFrom(first + kFp64Runs)) {
    if (error <= allowed.explained) break;
    Distances fp32;
    if (auto failed = MeasureReference(rows, run, observations, fp32)) return failed;
    worst = std::max(worst, fp32[Index(Metric::kLinf)]);
    Explain(worst * kFp64OverFp32, largest, allowed);
  }
  return std::nullopt;
}

std::optional<Verdict> Drift(const LogitsAnswer& torch, const std::string& stage) {
  LogitPlace place = FirstNonfinite(torch);
  if (place.logit < 0) return std::nullopt;
  return MakeVerdict(VerdictKind::kReferenceDrift, stage, ErrorClass::kNonfinite,
                     absl::StrCat("torch:fp64 has ", place.value, " at sequence ", place.sequence,
                                  ", position ", place.position, ", logit ", place.logit));
}

// Adds one path to the verdict; a verdict of its own when the references do not agree on it.
std::optional<Verdict> JudgePath(const ModelRunCase& c, ModelPath path, const LogitsAnswer& exact,
                                 size_t first, Observations& observations, Verdict& verdict) {
  std::string stage = PathName(path);
  const Reply& reply = observations[first];
  if (!reply.ok()) return ReferenceFailure(*reply.failure, "torch:fp64", stage);
  auto torch = ReadLogits(reply.message, c, path);
  if (!torch.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       "the reference torch:fp64: " + torch.status().ToString());
  }
  if (auto drift = JudgeNonfinite(exact, LogitsAnswer{}, stage)) return drift;
  if (auto drift = Drift(*torch, stage)) return drift;
  int dropped = 0;
  *torch = BeforeFp64Ties(exact, c.model->spec.experts_per_token, *torch, dropped);
  verdict.near_ties += dropped;
  DistancePool pool = PoolDistances(exact, *torch, *torch);
  if (pool.rows() == 0) return std::nullopt;
  BucketKey key = BucketOf(c, path);
  const BucketBounds* bucket = CommittedErrorBounds().Find(key);
  double error = pool.Result()[Index(Metric::kLinf)], largest = pool.largest_exact();
  const double floor_bound = FromTable(bucket, largest).bound;
  Allowed allowed = FromTable(bucket, largest);
  JudgedRows rows{c, path, exact, *torch};
  auto failed = Widen(rows, first, observations, largest, error, allowed);
  if (failed) return failed;
  if (error > allowed.bound && error <= allowed.explained) {
    return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                       "the case is so ill-conditioned that fp64 rounding alone differs by more "
                       "than 1e-9 of the largest logit");
  }
  verdict.judged += pool.rows();
  verdict.bucket = key.ToString();
  verdict.measures.push_back({.metric = "fp64_linf",
                              .path = stage,
                              .error = error,
                              .bound = allowed.bound,
                              .floor_bound = floor_bound});
  if (error <= allowed.bound) return std::nullopt;
  verdict.kind = VerdictKind::kReferenceDrift;
  verdict.signature.stage = stage;
  verdict.signature.error = ErrorClass::kNumeric;
  verdict.marginal = error < kMarginalFactor * allowed.bound;
  verdict.message = absl::StrFormat(
      "path %s: libtorch in fp64 differs from the exact model by %.4g, allowed are %.4g "
      "(largest logit %.6g); bucket %s",
      stage, error, allowed.bound, largest, verdict.bucket);
  return verdict;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const std::string stage = PathName(ModelPath::kReadout);
  LogitsAnswer exact;
  if (auto wrong = ReadExactLogits(observations[0], c, stage, exact)) return *wrong;
  Verdict verdict;
  verdict.signature.stage = stage;
  std::vector<ModelPath> paths = Paths(c);
  for (size_t i = 0; i < paths.size(); ++i) {
    auto found = JudgePath(c, paths[i], exact, 1 + i * kRunsOfAPath, observations, verdict);
    if (found) return *found;
  }
  if (verdict.near_ties > 0) verdict.kind = VerdictKind::kNearTie;
  return verdict;
}

}  // namespace

const Property& PropertyNamed_reference_agreement() {
  static const Property property = {.name = "reference_agreement",
                                    .subject = &ModelRunSubject(),
                                    .needs = {},
                                    .kills = {},  // no engine takes part
                                    .benign = {},
                                    .plan = Plan,
                                    .judge = Judge,
                                    .share = 5};
  return property;
}

}  // namespace crosscheck
