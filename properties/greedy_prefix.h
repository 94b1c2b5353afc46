// The greedy judgement of a model run, for every property that generates: greedy_prefix on the
// engine's own weights, path_agreement on weights of other formats.
#ifndef CROSSCHECK_PROPERTIES_GREEDY_PREFIX_H_
#define CROSSCHECK_PROPERTIES_GREEDY_PREFIX_H_

#include <memory>
#include <vector>

#include "properties/property.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {

// Generation from every prompt that leaves room in its context, then what the judge needs. Empty
// when no prompt does.
Runs PlanGreedy(const std::shared_ptr<const ModelRunCase>& c);
// Every generated token is the one that the exact model ranks first, or within the allowed error of
// it. `observations` begin with those of PlanGreedy. Stages: "session", "tie".
Verdict JudgeGreedy(const ModelRunCase& c, Observations& observations);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_GREEDY_PREFIX_H_
