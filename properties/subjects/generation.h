// Subject "generation": one random model of a tiny vocabulary and context and one request to
// generate, with budgets, stop ids and lengths around their limits. The vocabulary is tiny so that
// end-of-sequence and stop ids really occur.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_GENERATION_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_GENERATION_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "reference/weights.h"

namespace crosscheck {

struct GenerationCase {
  static constexpr std::string_view kSubjectName = "generation";
  std::shared_ptr<const ModelRecipe> model;  // never null in a case
  std::vector<int32_t> ids;                  // the prompt, at least one id
  int max_tokens = 0;
  std::vector<int32_t> stop;  // further ids that end generation; vocab itself is never produced
  bool log_probs = false;
  bool stream = false;
  bool sampled = false;  // else greedy; the fields below count only then
  double temperature = 1;
  int top_k = 0;
  double top_p = 1;
  uint64_t seed = 0;
  bool stop_string = false;  // a text that ends generation
};
bool operator==(const GenerationCase& a, const GenerationCase& b);  // recipes by value

const Subject& GenerationSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_GENERATION_H_
