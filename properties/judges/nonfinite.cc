#include "properties/judges/nonfinite.h"

#include "absl/strings/str_cat.h"
#include "properties/judges/failure.h"

namespace crosscheck {
namespace {

std::string Describe(const LogitPlace& place) {
  return absl::StrCat(place.value, " at sequence ", place.sequence, ", position ", place.position,
                      ", logit ", place.logit);
}

}  // namespace

std::optional<Verdict> JudgeNonfinite(const LogitsAnswer& exact, const LogitsAnswer& engine,
                                      std::string_view stage) {
  LogitPlace drift = FirstNonfinite(exact);
  if (drift.logit >= 0) {
    return MakeVerdict(VerdictKind::kReferenceDrift, stage, ErrorClass::kNonfinite,
                       "the exact model has " + Describe(drift));
  }
  LogitPlace bug = FirstNonfinite(engine);
  if (bug.logit < 0) return std::nullopt;
  return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kNonfinite,
                     "the engine has " + Describe(bug) + "; the exact model is finite everywhere");
}

}  // namespace crosscheck
