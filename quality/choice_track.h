// Multiple choice as a track: every choice of every question is one item whose targets are the
// tokens of the choice (quality.md 3.8, 4.3).
#ifndef CROSSCHECK_QUALITY_CHOICE_TRACK_H_
#define CROSSCHECK_QUALITY_CHOICE_TRACK_H_

#include <vector>

#include "absl/status/status.h"
#include "quality/dump.h"
#include "quality/summary.h"
#include "quality/task_requests.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

// "choice-mmlu", …: one item for each request.
Track ChoiceTrack(const TaskRequests& task);

// Of each task: accuracy_TASK and the same by characters, bytes and tokens (accuracy_TASK_norm, …),
// the reference's own (…_reference), accuracy_difference_TASK, answer_flips_TASK,
// mcnemar_p_TASK, gold_change_TASK. With one task also accuracy_difference and answer_flips.
absl::Status SummariseChoices(DumpReader& reference, DumpReader& candidate,
                              const std::vector<TaskRequests>& tasks, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_CHOICE_TRACK_H_
