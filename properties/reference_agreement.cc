// libtorch in fp64 and the exact model, each written from the specification, are the same function
// to fp64 rounding.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

// Every case compares a prefill over all positions; session cases compare their chunks and steps as
// well.
std::vector<ModelPath> Paths(const ModelRunCase& c) {
  std::vector<ModelPath> paths = {ModelPath::kReadout};
  if (c.path == ModelPath::kSession) paths.push_back(ModelPath::kSession);
  return paths;
}

std::vector<Run> Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  std::vector<Run> plan = {{.role = Role::kExact, .model = c.model, .request = ExactRequest(c)}};
  for (ModelPath path : Paths(c)) {
    plan.push_back({.role = Role::kTorch,
                    .variant = static_cast<int>(TorchPrecision::kFp64),
                    .model = c.model,
                    .request = LogitsRequest(c, path)});
  }
  return plan;
}

// The allowed difference as a share of the largest logit.
double RelativeBound(const BucketBounds* bucket) {
  if (bucket == nullptr) return kLargestFp64Spread;
  double rounding = kFloorUlps * std::numeric_limits<double>::epsilon();
  return std::min(kLargestFp64Spread, kReferenceMultiplier * bucket->fp64_spread + rounding);
}

std::optional<Verdict> JudgePath(const ModelRunCase& c, ModelPath path, const LogitsAnswer& exact,
                                 const Reply& reply, Verdict& verdict) {
  std::string stage(kModelPathNames[static_cast<int>(path)]);
  if (!reply.ok()) return ReferenceFailure(*reply.failure, "torch:fp64", stage);
  auto torch = ReadLogits(reply.message, c, path);
  if (!torch.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       "the reference torch:fp64: " + torch.status().ToString());
  }
  if (auto drift = JudgeNonfinite(exact, LogitsAnswer{}, stage)) return *drift;
  LogitPlace place = FirstNonfinite(*torch);
  if (place.logit >= 0) {
    return MakeVerdict(VerdictKind::kReferenceDrift, stage, ErrorClass::kNonfinite,
                       absl::StrCat("torch:fp64 has ", place.value, " at sequence ", place.sequence,
                                    ", position ", place.position, ", logit ", place.logit));
  }
  DistancePool pool = PoolDistances(exact, *torch, *torch);
  BucketKey key = BucketOf(c, path);
  double error = pool.Result()[Index(Metric::kLinf)];
  double bound = RelativeBound(CommittedErrorBounds().Find(key)) * pool.largest_exact();
  verdict.judged += pool.rows();
  verdict.bucket = key.ToString();
  verdict.measures.push_back(
      {.metric = "fp64_linf", .path = stage, .error = error, .bound = bound, .floor_bound = bound});
  if (error <= bound) return std::nullopt;
  verdict.kind = VerdictKind::kReferenceDrift;
  verdict.signature = {
      .property = "", .engine_family = "", .stage = stage, .error = ErrorClass::kNumeric};
  verdict.marginal = error < kMarginalFactor * bound;
  verdict.message = absl::StrFormat(
      "path %s: libtorch in fp64 differs from the exact model by %.4g, allowed are %.4g (largest "
      "logit %.6g); bucket %s",
      stage, error, bound, pool.largest_exact(), verdict.bucket);
  return verdict;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const Reply& reply = observations[0];
  std::string stage(kModelPathNames[static_cast<int>(ModelPath::kReadout)]);
  if (!reply.ok()) return ReferenceFailure(*reply.failure, "exact", stage);
  auto exact = ReadExact(reply.message, c);
  if (!exact.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       "the exact model: " + exact.status().ToString());
  }
  Verdict verdict;
  verdict.signature.stage = stage;
  std::vector<ModelPath> paths = Paths(c);
  for (size_t i = 0; i < paths.size(); ++i) {
    if (auto found = JudgePath(c, paths[i], *exact, observations[i + 1], verdict)) return *found;
  }
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
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
