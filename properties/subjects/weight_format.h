// Subject "weight_format": one random model served in one weight format, one prompt, and what is
// asked of it: greedy tokens, or the final hidden states of all positions.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_WEIGHT_FORMAT_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_WEIGHT_FORMAT_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "reference/weights.h"

namespace crosscheck {

enum class FormatAnswer { kTokens, kHidden };
inline constexpr std::string_view kFormatAnswerNames[] = {"tokens", "hidden"};

struct WeightFormatCase {
  static constexpr std::string_view kSubjectName = "weight_format";
  // Every input of a matrix product is a multiple of 32, so that every format can hold the model.
  bool whole_blocks = false;
  std::shared_ptr<const ModelRecipe> model;  // never null in a case; its serving is the stored one
  WeightFormat format = WeightFormat::kF32;
  FormatAnswer answer = FormatAnswer::kTokens;
  std::vector<int32_t> ids;  // of single printable characters: some engines take text only
  int generate = 0;          // tokens, at least one where the context has room
};
bool operator==(const WeightFormatCase& a, const WeightFormatCase& b);  // recipes by value

const Subject& WeightFormatSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_WEIGHT_FORMAT_H_
