// Faults of checkpoints that are served in another weight format. Name, what makes it show, the
// smallest case:
// - int8_scale_of_tensor: format int8, a projection with rows of different largest weights, and a
//   margin below what the coarser codes change; 1 layer, 1 token
#include <algorithm>
#include <cmath>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// One scale for the whole matrix, where the format has one for each row. The values are on the grid
// of that scale and within one row of them, so that the inner engine's own codes keep them but for
// rounding.
void Int8ScaleOfTensor(Model& model, Json& options) {
  if (options.value("format", "") != "int8") return;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (model.tensors[i].role != TensorRole::kProjection) continue;
    float largest = 0;
    for (const float weight : model.values[i]) largest = std::max(largest, std::abs(weight));
    const float scale = largest == 0 ? 1 : largest / 127;
    for (float& weight : model.values[i]) weight = std::round(weight / scale) * scale;
  }
}

constexpr Fault kFaults[] = {
    {"int8_scale_of_tensor", nullptr, nullptr, "", Int8ScaleOfTensor},
};

}  // namespace

absl::Span<const Fault> FormatFaults() { return kFaults; }

}  // namespace crosscheck
