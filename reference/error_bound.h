// The bound that a numeric judgement applies, and the calibrated table of reference errors behind
// it (reference/error_bounds.tsv, written by `crosscheck calibrate`).
//
//   e_ref = max(typical * M, luck * D)      bound = m * e_ref + floor
//
// with M = max|y*| of the case and D = the largest error of the references consulted on the case
// itself. judging.md 3.1 has max(h * M, D), h the 0.999 quantile of its bucket. On small random
// models that is both too loose and too tight: the errors are heavy-tailed, as an ill-conditioned
// case (a norm of a nearly cancelled vector) has a thousand times the error of the median case. h
// is 80 times the typical error in the median bucket (50,000 times in the worst) and would hide
// errors of that size in every ordinary case, and beyond h a bare 2 * D over four references is
// exceeded by a clean one in a few per cent. So h is a figure for people, the table's first rung is
// the typical error, and the conditioning of the case is measured on the case: by the four
// references and, for the few cases that need it, by the perturbed ones on weights nudged in the
// last place, which meets the same cancellations with other rounding. Over twelve
// nudged runs the largest error of one clean reference was at most 3.2 times the largest of the
// others in 28,000 cases, but one of 33,000 cases of libtorch exceeded 2 * 3 * D, so there are 36.
//
// Example:
//   const BucketBounds* bucket = CommittedErrorBounds().Find(key);  // null: nothing calibrated
//   ErrorBound bound(bucket, pool.largest_exact(), DType::kF32);
//   if (!bound.Covers(engine_distances)) bound.Widen(torch_distances);  // one reference by one
#ifndef CROSSCHECK_REFERENCE_ERROR_BOUND_H_
#define CROSSCHECK_REFERENCE_ERROR_BOUND_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "reference/metrics.h"
#include "reference/weights.h"

namespace crosscheck {

inline constexpr double kReferenceMultiplier = 2;  // m of judging.md 3.1
inline constexpr double kLuck = 3;                 // one clean reference over the others, see above
inline constexpr double kFloorUlps = 2;            // c of judging.md 3.2
inline constexpr double kMarginalFactor = 1.5;     // findings below 1.5 bounds are marginal
inline constexpr double kFp64OverFp32 = 0x1p-29;   // ratio of the units in the last place
inline constexpr double kLargestFp64Spread =
    1e-9;  // of the largest logit; more is drift of a reference

// Which calibration applies to a case. Storage is no part of it: BF16 and F16 checkpoints hold the
// values that every implementation starts from, the arithmetic after that is the same.
struct BucketKey {
  Family family = Family::kQwen35;
  std::string path;  // arithmetic and code path: "f32-prompt", "f32-readout", "f32-session"
  int depth = 0;     // index into kDepthClassNames
  int length = 0;    // index into kLengthClassNames
  WeightStyle style = WeightStyle::kPlain;

  std::string ToString() const;  // "qwen3_5/f32-session/layers1-2/tokens9-64/plain"
  auto operator<=>(const BucketKey&) const = default;
};
inline constexpr std::string_view kDepthClassNames[] = {"layers1-2", "layers3-6", "layers7+"};
inline constexpr std::string_view kLengthClassNames[] = {"tokens1-8", "tokens9-64", "tokens65+"};
int DepthClass(int layers);
int LengthClass(int tokens);  // of the longest sequence of the case

// What calibration measured on one bucket.
struct BucketBounds {
  int64_t cases = 0;        // with the perturbed references
  int64_t torch_cases = 0;  // with libtorch as well
  // By metric: the largest quantile over the references of d(r, y*) / max|y*|.
  Distances typical{};     // 0.75
  Distances h{};           // 0.999
  double fp64_spread = 0;  // 0.999 quantile of L-inf of libtorch fp64 to the exact model, / max|y*|
  double exceed_rate = 1;  // share of cases in which a reference's RMS is above twice libtorch's
  bool operator==(const BucketBounds&) const = default;
};

class ErrorBoundTable {
 public:
  // Lines of tab-separated fields below one header line; `#` starts a provenance line. Errors name
  // the line.
  static absl::StatusOr<ErrorBoundTable> Parse(std::string_view text);
  std::string Print() const;  // Parse(Print()) is the same table

  // The bucket of the key, or the nearest calibrated one of the same family, path and style with
  // fewer layers, then with fewer tokens: its errors are smaller, so a missing bucket never loosens
  // a bound. Null when there is none.
  const BucketBounds* Find(const BucketKey& key) const;
  void Set(const BucketKey& key, const BucketBounds& bounds) { buckets_[key] = bounds; }
  const std::map<BucketKey, BucketBounds>& buckets() const { return buckets_; }

  std::vector<std::string> provenance;  // without '#'
  bool operator==(const ErrorBoundTable&) const = default;

 private:
  std::map<BucketKey, BucketBounds> buckets_;
};

// The table that this program was built with.
const ErrorBoundTable& CommittedErrorBounds();

// Grows with every reference that is consulted; all distances in units of logits except sqrt(KL).
class ErrorBound {
 public:
  // `bucket` may be null. `stored` is the type in which the engine stores the compared logits.
  ErrorBound(const BucketBounds* bucket, double largest_exact, DType stored);

  void Widen(const Distances& reference);
  double Of(Metric metric) const;
  double FloorOf(Metric metric) const;        // from the table alone
  bool Covers(const Distances& error) const;  // every verdict metric; false for NaN
  double WorstRatio(
      const Distances& error) const;  // largest error / bound over the verdict metrics

 private:
  Distances typical_{}, reference_{};
  double floor_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_ERROR_BOUND_H_
