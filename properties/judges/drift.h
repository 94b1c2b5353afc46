// Run-level test of numeric drift: an engine that is a few times worse than the references in case
// after case, each time within its bound (judging.md 13).
//
// Example:
//   DriftTest drift;
//   for (…) drift.Add(bucket, measure.error, measure.reference_error);   // centred RMS of engine
//   and libtorch if (drift.Flagged()) …
#ifndef CROSSCHECK_PROPERTIES_JUDGES_DRIFT_H_
#define CROSSCHECK_PROPERTIES_JUDGES_DRIFT_H_

#include "reference/error_bound.h"

namespace crosscheck {

// A sequential sign test of "engine's error > 2 * libtorch's error" against twice the clean rate of
// each case's bucket. The evidence is a likelihood ratio, a martingale under the null, so by
// Ville's inequality it exceeds 1/alpha with probability alpha at most, however long the run is.
class DriftTest {
 public:
  static constexpr double kAlpha = 1e-6;

  // Cases must be chosen without regard to the engine's error. `bucket` null, or a bucket whose
  // clean rate leaves no room for a worse one: the case does not count.
  void Add(const BucketBounds* bucket, double engine_error, double libtorch_error);

  bool Flagged() const { return flagged_; }  // stays true
  double log_evidence() const { return log_evidence_; }
  int cases() const { return cases_; }

 private:
  double log_evidence_ = 0;
  int cases_ = 0;
  bool flagged_ = false;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_DRIFT_H_
