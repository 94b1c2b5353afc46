// `crosscheck compare --reference-dump`: what was recorded before, by crosscheck or by any other
// tool (docs/dump_format.md), compared without a model.
#ifndef CROSSCHECK_QUALITY_COMPARE_DUMPS_H_
#define CROSSCHECK_QUALITY_COMPARE_DUMPS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/compare.h"

namespace crosscheck::quality {

// The name of a configuration that a dump holds: that of its folder.
std::string DumpName(const std::string& folder);

// `options.recorded` names the dumps. `options.model` may be empty; where it is not, its tokenizer
// makes texts of ids and it is the model that the reference's dump is of. Multiple choice is
// measured where options.inputs.tasks names the files and a tokenizer is there.
//
// FailedPrecondition or DataLoss, with both values: the dumps break a rule of dump_check.h or
// computed_pairs.h. Nothing is reported then.
absl::StatusOr<Comparison> CompareDumps(const CompareOptions& options);

// What would be compared, one line each: tracks, items, modes and the bytes to read.
absl::StatusOr<std::vector<std::string>> DescribeDumps(const CompareOptions& options);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPARE_DUMPS_H_
