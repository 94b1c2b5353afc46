// Where both sides draw, and what their draws say (quality.md 3.5).
//
// A law that is nearly a point shows nothing of a sampler: two cells, or one. So draws are made
// where the reference is most in doubt, which its entropies say before any candidate is asked.
#ifndef CROSSCHECK_QUALITY_SAMPLED_TRACK_H_
#define CROSSCHECK_QUALITY_SAMPLED_TRACK_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/dump.h"
#include "quality/summary.h"
#include "quality/tracks.h"

namespace crosscheck::quality {

struct SampledPlan {
  std::vector<int> prompts;                    // of track `sampled`: most entropy after the prompt
  std::vector<std::vector<int32_t>> contexts;  // of track `draws`: most entropy, one of each prompt
};
// `reference` holds the stats of `forced`.
absl::StatusOr<SampledPlan> PlanSampling(DumpReader& reference, const Track& forced, int prompts,
                                         int contexts);

// Metrics: sampler_p_value (draws against the engine's own law: no faulty sampler), sampler_cells
// and sampler_power (how much that test could see), sampled_p_value and sampled_effect (against the
// reference's law), sampled_kl_mean and sampled_total_variation (between the two laws),
// ngram_distance_1 to …_3. A sampler that the evidence is against is a finding.
absl::Status SummariseDraws(DumpReader& reference, DumpReader& candidate,
                            const SummaryInputs& inputs, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_SAMPLED_TRACK_H_
