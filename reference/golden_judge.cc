#include "reference/golden_judge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace crosscheck {
namespace {

constexpr double kFp64Tolerance = 1e-9;   // of the tensor's largest magnitude
constexpr double kFp32ErrorMultiple = 4;  // of the recorded float32 error

double LargestMagnitude(absl::Span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

// Infinity where either side is not a number or shapes differ in size.
double LargestDifference(absl::Span<const double> actual, absl::Span<const double> expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = std::abs(actual[i] - expected[i]);
    if (!(difference <= largest)) {
      largest = std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
    }
  }
  return largest;
}

}  // namespace

void GoldenJudge::Fail(std::string_view what) {
  result_->failures.push_back(absl::StrCat(implementation_.name, ": ", std::string(what)));
}

std::optional<double> GoldenJudge::Tolerance(const std::string& kind, double scale) {
  if (implementation_.precision == GoldenPrecision::kFp64) return kFp64Tolerance * scale;
  const std::optional<double> recorded = recording_->Float32Error(kind);
  if (recorded.has_value()) return kFp32ErrorMultiple * *recorded;
  Skip(kind, "no float32 run of this kind is recorded to take a tolerance from");
  return std::nullopt;
}

void GoldenJudge::Skip(const std::string& what, std::string_view reason) {
  if (!skipped_.insert(what).second) return;
  result_->skipped.push_back(
      {absl::StrCat(what, " (", implementation_.name, ")"), std::string(reason)});
}

void GoldenJudge::Record(const std::string& name, const std::string& kind,
                         absl::Span<const double> actual, absl::Span<const double> expected) {
  RecordWithin(Tolerance(kind, LargestMagnitude(expected)), name, kind, actual, expected);
}

void GoldenJudge::RecordWithin(std::optional<double> tolerance, const std::string& name,
                               const std::string& kind, absl::Span<const double> actual,
                               absl::Span<const double> expected) {
  if (!tolerance.has_value()) return;
  const double scale = LargestMagnitude(expected);
  const double absolute = LargestDifference(actual, expected);
  const double relative = scale > 0 ? absolute / scale : absolute;
  const double of_tolerance = *tolerance > 0 ? absolute / *tolerance
                              : absolute > 0 ? std::numeric_limits<double>::infinity()
                                             : 0;
  GoldenError& worst = worst_.worst[kind];
  worst.absolute = std::max(worst.absolute, absolute);
  worst.relative = std::max(worst.relative, relative);
  worst.of_tolerance = std::max(worst.of_tolerance, of_tolerance);
  if (actual.size() != expected.size()) {
    Fail(absl::StrFormat("%s: %d values; expected %d", name, actual.size(), expected.size()));
  } else if (of_tolerance > 1) {
    Fail(absl::StrFormat("%s: error %.3g (%.3g of the largest magnitude) exceeds %.3g (%s)", name,
                         absolute, relative, *tolerance, kind));
  }
}

absl::Status GoldenJudge::Compare(const std::string& name, const std::string& kind,
                                  absl::Span<const double> actual) {
  if (!recording_->Has(name)) return absl::OkStatus();
  absl::StatusOr<std::vector<double>> expected = recording_->Values(name);
  if (!expected.ok()) return expected.status();
  Record(name, kind, actual, *expected);
  return absl::OkStatus();
}

}  // namespace crosscheck
