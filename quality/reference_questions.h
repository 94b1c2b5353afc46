// Questions about a candidate's own tokens, which only the reference can answer and its dump does
// not hold.
#ifndef CROSSCHECK_QUALITY_REFERENCE_QUESTIONS_H_
#define CROSSCHECK_QUALITY_REFERENCE_QUESTIONS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "quality/dump.h"
#include "quality/inputs.h"
#include "quality/side.h"

namespace crosscheck::quality {

class ReferenceQuestions {
 public:
  // All must outlive the object.
  ReferenceQuestions(Side& side, DumpReader& dump, const Inputs& inputs)
      : side_(side), dump_(dump), inputs_(inputs) {}

  // The best logit less that of `token` after prompt `item` and the first `position` tokens of the
  // reference's greedy continuation; +inf for a token outside the vocabulary.
  absl::StatusOr<double> GapOf(int item, int position, int token);
  // -ln p of each of `continuation` after prompt `item`.
  absl::StatusOr<std::vector<double>> NllOf(int item, const std::vector<int32_t>& continuation);

 private:
  Side& side_;
  DumpReader& dump_;
  const Inputs& inputs_;
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_REFERENCE_QUESTIONS_H_
