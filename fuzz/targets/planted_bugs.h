// Planted bugs of graded difficulty, to compare how searches find them (ci/search_quality).
//
// A bug is a list of conditions on a request of `logits`: the more, the rarer. planted_bugs.cc is
// compiled twice, with coverage counters and without, as the library of an engine is: each
// condition is a function of its own, entered only when those before it hold.
#ifndef CROSSCHECK_FUZZ_TARGETS_PLANTED_BUGS_H_
#define CROSSCHECK_FUZZ_TARGETS_PLANTED_BUGS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reference/model_spec.h"

namespace crosscheck {

struct PlantedInput {
  const ModelSpec& spec;
  bool session = false;                       // token by token after a prefill
  std::vector<std::vector<int64_t>> prompts;  // at least one, none empty
};

using PlantedCondition = bool (*)(const PlantedInput&);

struct PlantedBug {
  std::string_view name;
  std::string_view text;  // what must hold, for the table
  // false: wrong only when all hold. true: the error is small and grows with each that holds, in
  // whatever order, as rounding that piles up does.
  bool grows = false;
  std::vector<PlantedCondition> conditions;
};

// The same bugs: a search that has their code's coverage, and one that has not.
namespace planted_seen {
const std::vector<PlantedBug>& Bugs();
size_t Holding(const PlantedBug& bug, const PlantedInput& input);
}  // namespace planted_seen
namespace planted_unseen {
const std::vector<PlantedBug>& Bugs();
size_t Holding(const PlantedBug& bug, const PlantedInput& input);  // of its conditions
}  // namespace planted_unseen

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_TARGETS_PLANTED_BUGS_H_
