// The outcome of one case under one property, and the signature that names a finding everywhere.
//
// Example:
//   Signature s{"logit_closeness", "lattice", "session", ErrorClass::kNumeric};
//   s.ToString();   // "logit_closeness/lattice/session/numeric": bucket, minimiser's pin; '/'
//   becomes '.' in file names
#ifndef CROSSCHECK_PROPERTIES_VERDICT_H_
#define CROSSCHECK_PROPERTIES_VERDICT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace crosscheck {

// judging.md 1. kFlaky is made by the minimiser and the runner, never by a judge.
enum class VerdictKind {
  kPass,
  kEngineBug,
  kCrash,
  kTimeout,
  kNearTie,
  kReferenceDrift,
  kUnsupported,
  kSetupError,
  kFlaky
};
inline constexpr std::string_view kVerdictKindNames[] = {
    "PASS",        "ENGINE_BUG",  "CRASH", "TIMEOUT", "NEAR_TIE", "REFERENCE_DRIFT",
    "UNSUPPORTED", "SETUP_ERROR", "FLAKY"};

// judging.md 6.
enum class ErrorClass {
  kNone,
  kNumeric,
  kNonfinite,
  kToken,
  kSupport,
  kDistribution,
  kState,
  kMemory,
  kRejection,
  kWeights,
  kGrowth,
  kFlips,
  kPanic,
  kCrash,
  kTimeout,
  kProtocol
};
inline constexpr std::string_view kErrorClassNames[] = {
    "none",      "numeric", "nonfinite", "token", "support", "distribution", "state",   "memory",
    "rejection", "weights", "growth",    "flips", "panic",   "crash",        "timeout", "protocol"};

struct Signature {
  std::string property;
  std::string engine_family;
  std::string stage;  // the property's own word or the engine's path; never the localiser's answer
  ErrorClass error = ErrorClass::kNone;

  std::string ToString() const;  // property/family/stage/error
  static absl::StatusOr<Signature> Parse(std::string_view text);
  // At most 80 characters, with a hash of letters only (fuzzing.md 5).
  std::string ToLine() const;
  bool operator==(const Signature&) const = default;
};

// One verdict metric of a numeric judgement: error against the bound that judged it.
struct Measure {
  std::string metric;  // "centred_linf", "centred_rms", "sqrt_mean_kl", "nll", …
  std::string path;    // the engine's path
  double error = 0;
  double bound = 0;        // the bound that decided
  double floor_bound = 0;  // the bound from the bucket table alone (no reference run consulted)
  double reference_error =
      -1;  // of libtorch in fp32 on this case, for run-level statistics; negative: not run
};

struct Verdict {
  VerdictKind kind = VerdictKind::kPass;
  Signature signature;    // property is always set; the rest for findings
  std::string message;    // one or more lines for a person: what, where, how much
  bool marginal = false;  // a finding less than 1.5 times beyond its bound
  int near_ties = 0;      // positions, also on a pass
  int judged = 0;  // positions or tokens that were compared; zero judged on a PASS is UNSUPPORTED
  std::string bucket;  // calibration bucket, where a bound was used
  std::vector<Measure> measures;

  bool IsFinding() const;  // kEngineBug, kCrash, kTimeout, kFlaky, kReferenceDrift
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_VERDICT_H_
