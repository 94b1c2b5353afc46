// Subject "model_run": one random model and 1-4 token sequences that run in order after its load.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RUN_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RUN_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "reference/weights.h"

namespace crosscheck {

// The code paths of the protocol's model/1 (docs/engine_protocol.md): which positions are answered
// and how.
enum class ModelPath { kPrompt, kReadout, kSession };
inline constexpr std::string_view kModelPathNames[] = {"prompt", "readout", "session"};
inline std::string PathName(ModelPath path) {
  return std::string(kModelPathNames[static_cast<size_t>(path)]);
}

struct SequenceCase {
  std::vector<int32_t> ids;     // the prompt, at least one id
  std::vector<int32_t> chunks;  // session path: lengths of the prefill calls, sum in 1..ids.size();
                                // the rest are steps
  int left_padding =
      0;             // masked junk ids in front of the prompt; 0 where the engine takes no masks
  int generate = 0;  // greedy_prefix: tokens to generate
  bool operator==(const SequenceCase&) const = default;
};

// What the properties that compare runs vary; each reads what it needs.
struct RelationCase {
  // causality, determinism: the token of the first sequence that is replaced, counted from its end,
  // and the distance to its new id, less one (modulo the vocabulary).
  int edit_from_end = 0;
  int edit_shift = 0;
  int split = 0;         // prefill_decode: tokens that a further session prefills; 0: all
  bool sampled = false;  // determinism: generates by sampling, with `seed`
  uint64_t seed = 0;
  uint64_t permutation = 0;  // seed of vocabulary_permutation; shared, as a model belongs to it
  bool operator==(const RelationCase&) const = default;
};

struct ModelRunCase {
  static constexpr std::string_view kSubjectName = "model_run";
  std::shared_ptr<const ModelRecipe>
      model;  // never null in a case; cases of one shared seed have equal recipes
  ModelPath path = ModelPath::kReadout;
  std::vector<SequenceCase> sequences;
  RelationCase relation = {};
};
// The first sequence's ids with the edit, and the edited position.
struct Edit {
  std::vector<int32_t> ids;
  int position = 0;
};
Edit EditOf(const ModelRunCase& c);

bool operator==(const ModelRunCase& a, const ModelRunCase& b);  // recipes by value

const Subject& ModelRunSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_MODEL_RUN_H_
