#include "properties/judges/hidden.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/failure.h"
#include "properties/judges/tolerance.h"
#include "reference/error_bound.h"
#include "reference/metrics.h"

namespace crosscheck {
namespace {

struct Difference {
  double linf = 0, rms = 0;
  size_t worst = 0;  // element of the largest difference
};

Difference Compare(const std::vector<double>& exact, const std::vector<double>& other) {
  Difference difference;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double error = std::abs(other[i] - exact[i]);
    if (error > difference.linf) difference.worst = i;
    difference.linf = std::max(difference.linf, error);
  }
  difference.rms = Rms(exact, other);
  return difference;
}

double Largest(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

std::optional<size_t> FirstNonfiniteOf(const std::vector<double>& values) {
  const auto found =
      std::find_if(values.begin(), values.end(), [](double v) { return !std::isfinite(v); });
  if (found == values.end()) return std::nullopt;
  return static_cast<size_t>(found - values.begin());
}

struct Bound {
  double floor = 0;
  Difference references;
  double Linf() const { return kReferenceMultiplier * kLuck * references.linf + floor; }
  double RmsBound() const { return kReferenceMultiplier * kLuck * references.rms + floor; }
  bool Covers(const Difference& error) const {
    return error.linf <= Linf() && error.rms <= RmsBound();
  }
  double WorstRatio(const Difference& error) const {
    return std::max(error.linf / Linf(), error.rms / RmsBound());
  }
};

// The states of a reference, finite, or the verdict that they are not there.
std::optional<Verdict> ReadReference(size_t observation, std::string_view name,
                                     const HiddenPlace& place, std::string_view stage,
                                     Observations& observations, HiddenStates& states) {
  const Reply& reply = observations[observation];
  if (!reply.ok()) return ReferenceFailure(*reply.failure, name, stage);
  auto answer = ReadHidden(reply.message, place.positions, place.hidden);
  if (!answer.ok()) {
    return MakeVerdict(
        VerdictKind::kSetupError, stage, ErrorClass::kNone,
        absl::StrCat("the reference ", std::string(name), ": ", answer.status().message()));
  }
  if (FirstNonfiniteOf(answer->values)) {
    return MakeVerdict(VerdictKind::kReferenceDrift, stage, ErrorClass::kNonfinite,
                       absl::StrCat("the reference ", std::string(name), " is not finite"));
  }
  states = *std::move(answer);
  return std::nullopt;
}

std::string Place(const HiddenPlace& place, size_t element) {
  const auto hidden = static_cast<size_t>(place.hidden);
  return absl::StrCat("position ", element / hidden, ", dimension ", element % hidden);
}

}  // namespace

Message HiddenRequest(const std::vector<int32_t>& ids) {
  Message request;
  request.head = {{"op", "hidden"}, {"ids", ids}};
  return request;
}

absl::StatusOr<HiddenStates> ReadHidden(const Message& answer, size_t positions, int hidden) {
  const Tensor* tensor = answer.Find("hidden");
  if (tensor == nullptr) return absl::InvalidArgumentError("the tensor hidden is missing");
  const std::vector<int64_t> shape = {static_cast<int64_t>(positions), hidden};
  if (tensor->shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("hidden is not of shape [", positions, ", ", hidden, "]"));
  }
  if (tensor->dtype != DType::kF32 && tensor->dtype != DType::kF64) {
    return absl::InvalidArgumentError("hidden is neither F32 nor F64");
  }
  auto values = tensor->ToDoubles();
  if (!values.ok()) return values.status();
  return HiddenStates{*std::move(values), tensor->dtype};
}

Verdict JudgeHidden(const HiddenStates& engine, const HiddenPlace& place, std::string_view stage,
                    Observations& observations) {
  HiddenStates exact;
  if (auto failed = ReadReference(place.exact, "exact", place, stage, observations, exact)) {
    return *failed;
  }
  if (const auto element = FirstNonfiniteOf(engine.values)) {
    return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kNonfinite,
                       absl::StrCat("the engine is not finite at ", Place(place, *element)));
  }
  const Difference error = Compare(exact.values, engine.values);
  Bound bound{.floor = kFloorUlps * Ulp(engine.dtype, Largest(exact.values)), .references = {}};
  for (const ReferenceRun& run : ReferencesFrom(place.first_reference)) {
    if (bound.Covers(error)) break;
    if (!observations.Available(run.observation)) continue;
    HiddenStates reference;
    auto failed = ReadReference(run.observation, run.name, place, stage, observations, reference);
    if (failed) return *failed;
    const Difference shown = Compare(exact.values, reference.values);
    bound.references.linf = std::max(bound.references.linf, shown.linf);
    bound.references.rms = std::max(bound.references.rms, shown.rms);
  }
  Verdict verdict;
  verdict.signature.stage = std::string(stage);
  verdict.judged = static_cast<int>(place.positions);
  verdict.measures = {{.metric = "hidden_linf",
                       .path = verdict.signature.stage,
                       .error = error.linf,
                       .bound = bound.Linf(),
                       .floor_bound = bound.floor},
                      {.metric = "hidden_rms",
                       .path = verdict.signature.stage,
                       .error = error.rms,
                       .bound = bound.RmsBound(),
                       .floor_bound = bound.floor}};
  if (bound.Covers(error)) return verdict;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.error = ErrorClass::kNumeric;
  verdict.marginal = bound.WorstRatio(error) < kMarginalFactor;
  verdict.message = absl::StrFormat(
      "hidden states: largest difference %.4g (allowed %.4g), root mean square %.4g (allowed "
      "%.4g)\nlargest at %s: engine %.9g, exact %.17g",
      error.linf, bound.Linf(), error.rms, bound.RmsBound(), Place(place, error.worst),
      engine.values[error.worst], exact.values[error.worst]);
  return verdict;
}

}  // namespace crosscheck
