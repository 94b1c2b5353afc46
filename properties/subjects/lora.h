// Subject "lora": one random model, a low-rank adapter for some of its projections, one token
// sequence and the path that evaluates it.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_LORA_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_LORA_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "properties/subjects/model_run.h"
#include "reference/weights.h"

namespace crosscheck {

struct LoraCase {
  static constexpr std::string_view kSubjectName = "lora";
  std::shared_ptr<const ModelRecipe> model;  // never null in a case; its serving is the stored one
  AdapterRecipe adapter;                     // rank at least 1, at least one module
  ModelPath path = ModelPath::kReadout;
  std::vector<int32_t> ids;
  int steps = 0;  // session path: the last ids, evaluated one by one
};
bool operator==(const LoraCase& a, const LoraCase& b);  // recipes by value

const Subject& LoraSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_LORA_H_
