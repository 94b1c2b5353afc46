// Measures the errors of clean references, bucket by bucket: what a legal engine's error may look
// like (judging.md 3.1, 3.5).
#ifndef CROSSCHECK_PROPERTIES_CALIBRATE_H_
#define CROSSCHECK_PROPERTIES_CALIBRATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "properties/limits.h"
#include "reference/error_bound.h"

namespace crosscheck {

struct CalibrateOptions {
  uint64_t seed = 1;
  int64_t cases_per_bucket = 10'000;       // exact model and perturbed references
  int64_t torch_cases_per_bucket = 1'000;  // of these, with libtorch in fp32 and fp64
  int threads = 1;
  Limits limits = {.chunked_prefill = true};  // of the generator
  std::vector<std::string> provenance;  // versions and machine, one line each; goes into the table
  std::function<void(int64_t done, int64_t total)> progress;  // called from one thread at a time
};

// The buckets of `measured`'s families are its own, all others are those of `kept`; the provenance
// of both, that of `measured` behind the names of its families.
ErrorBoundTable MergeFamilies(const ErrorBoundTable& kept, const ErrorBoundTable& measured);

// Every bucket that the generator reaches gets `cases_per_bucket` cases; the cases are a function
// of seed and limits alone, whatever the number of threads. A bucket that is too rare keeps
// what it has. Errors: a reference cannot be opened or fails on a case.
absl::StatusOr<ErrorBoundTable> Calibrate(const CalibrateOptions& options);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_CALIBRATE_H_
