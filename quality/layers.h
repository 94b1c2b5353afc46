// Where, layer by layer and stage by stage, a configuration departs from the reference
// (quality.md 3.9): cosine and relative error of what both computed, and the error that each stage
// adds on the configuration's own weights and inputs.
#ifndef CROSSCHECK_QUALITY_LAYERS_H_
#define CROSSCHECK_QUALITY_LAYERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "quality/dump.h"
#include "quality/summary.h"
#include "quality/tracks.h"
#include "reference/model_spec.h"

namespace crosscheck::quality {

struct LayerInputs {
  DumpReader* reference = nullptr;
  DumpReader* candidate = nullptr;
  const Track* forced = nullptr;  // whose first items the track `layers` holds
  // The weights that the configuration computes with; "": not known, no added error is measured.
  std::string candidate_folder;
  bool adapted = false;  // an adapter is applied: the added error is not known
};

// The first of these ids: so many that the stages of one pass fit a message, 64 at most.
std::vector<int32_t> LayerIds(const std::vector<int32_t>& ids, const ModelSpec& spec);

// Fills result.layers, in the order of computation. Stages that one side does not show are left
// out; a candidate without the track leaves it empty.
absl::Status MeasureLayers(const LayerInputs& inputs, ConfigurationResult& result);

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_LAYERS_H_
