// Compares what one implementation answers with one golden's recorded tensors.
#ifndef CROSSCHECK_REFERENCE_GOLDEN_JUDGE_H_
#define CROSSCHECK_REFERENCE_GOLDEN_JUDGE_H_

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "reference/golden.h"
#include "reference/golden_recording.h"

namespace crosscheck {

class GoldenJudge {
 public:
  // Failures and skips go to `result`; all three arguments outlive the judge.
  GoldenJudge(const GoldenImplementation& implementation, GoldenRecording* recording,
              GoldenResult* result)
      : implementation_(implementation), recording_(recording), result_(result) {
    worst_.name = implementation.name;
  }

  // Compares with the recorded tensor `name` when there is one.
  absl::Status Compare(const std::string& name, const std::string& kind,
                       absl::Span<const double> actual);
  // Compares with values that the caller took from the recording.
  void Record(const std::string& name, const std::string& kind, absl::Span<const double> actual,
              absl::Span<const double> expected);
  // The same with a tolerance of the caller's; nothing is compared without one.
  void RecordWithin(std::optional<double> tolerance, const std::string& name,
                    const std::string& kind, absl::Span<const double> actual,
                    absl::Span<const double> expected);
  void Fail(std::string_view what);
  // Lists once what this implementation cannot be asked.
  void Skip(const std::string& what, std::string_view reason);
  // The largest absolute error that passes, or nothing where no float32 run of the kind is
  // recorded, which is then listed as skipped. `scale`: largest magnitude of the recorded tensor
  // (of use in fp64 only).
  std::optional<double> Tolerance(const std::string& kind, double scale);
  GoldenImplementationResult TakeWorst() { return std::move(worst_); }

 private:
  const GoldenImplementation& implementation_;
  GoldenRecording* recording_;
  GoldenResult* result_;
  GoldenImplementationResult worst_;
  std::set<std::string> skipped_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_GOLDEN_JUDGE_H_
