// `crosscheck golden check` of a recorded golden: what an engine answers today against what was
// recorded, judged by the stored reference error (docs/goldens.md).
#ifndef CROSSCHECK_QUALITY_CHECK_GOLDEN_H_
#define CROSSCHECK_QUALITY_CHECK_GOLDEN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/golden_index.h"
#include "reference/golden.h"

namespace crosscheck::quality {

struct CheckGoldenOptions {
  std::string model;                 // checkpoint folder; "": where it was when recorded
  std::vector<std::string> engines;  // empty: the recorded one
};

// A position that moved beyond what is allowed and greedy ids that part by more than a near tie are
// failures, with the first place of each prompt; near ties are notes; an engine that lacks what is
// asked for is a skip. FailedPrecondition: the model is not the one that was recorded (the message
// names the file and both hashes), the vocabularies differ, or files of the golden are missing.
absl::StatusOr<GoldenResult> CheckRecordedGolden(const std::string& folder,
                                                 const CheckGoldenOptions& options);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_CHECK_GOLDEN_H_
