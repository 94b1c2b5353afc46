// golden.json of a recorded golden: which model and engine it is of, and the reference error that
// its judge allows (docs/goldens.md).
#ifndef CROSSCHECK_QUALITY_GOLDEN_INDEX_H_
#define CROSSCHECK_QUALITY_GOLDEN_INDEX_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/golden_item.h"

namespace crosscheck::quality {

inline constexpr std::string_view kGoldenFormat = "crosscheck-golden/1";
inline constexpr int64_t kMostGoldenBytes = 1000000;
inline constexpr int kGoldenTokens = 64;  // stored: the most likely, and as many of the rest

struct GoldenPrompt {
  std::string id, text;              // text "": only ids are known
  GoldenDistance reference_error{};  // the largest over the positions of the prompt
};

struct GoldenIndex {
  std::string model;   // checkpoint folder, as seen from the golden's folder
  std::string engine;  // that answered
  // The reference error is how far `error_engine` is from `exact_engine`.
  std::string error_engine, exact_engine;
  std::vector<GoldenPrompt> prompts;

  // An engine of rounded arithmetic is itself off by as much as one that it is compared with.
  int sides() const { return engine == exact_engine ? 1 : 2; }
  // What a correct engine may be off by from what is recorded of a prompt: the factors of
  // reference/error_bound.h over its reference error, and their floor; `largest` is the largest
  // logit of the prompt.
  GoldenDistance Allowed(const GoldenPrompt& prompt, double largest) const;
};

absl::Status WriteGoldenIndex(const GoldenIndex& index, const std::string& folder);
// NotFound: there is no golden.json; InvalidArgument: it is of another kind, or lacks something.
absl::StatusOr<GoldenIndex> ReadGoldenIndex(const std::string& folder);

// Whether the folder holds a golden of this kind; tests/golden holds those of Transformers.
bool IsRecordedGolden(const std::string& folder);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_GOLDEN_INDEX_H_
