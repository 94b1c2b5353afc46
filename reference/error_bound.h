// The bound that a numeric judgement applies: m * reference error + floor (judging.md 3.1-3.2), and
// the calibrated table of reference errors behind it (reference/error_bounds.tsv, written by
// `crosscheck calibrate`).
//
// Example:
//   const BucketBounds* bucket = CommittedErrorBounds().Find(key);    // null: nothing calibrated
//   near this case ErrorBound bound(bucket, pool.largest_exact(), DType::kF32); if
//   (!bound.Covers(engine_distances)) bound.Widen(torch_distances);  // references one by one,
//   until it covers
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
inline constexpr double kFloorUlps = 2;            // c of judging.md 3.2
inline constexpr double kMarginalFactor = 1.5;     // findings below 1.5 bounds are marginal
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
  Distances h{};  // largest 0.999 quantile over the references of d(r, y*) / max|y*|, by metric
  double fp64_spread = 0;  // largest L-inf of libtorch fp64 against the exact model, / max|y*|
  double exceed_rate =
      1;  // share of cases in which a clean reference's centred RMS is above twice libtorch's
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
  Distances from_table_{}, reference_{};
  double floor_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_ERROR_BOUND_H_
