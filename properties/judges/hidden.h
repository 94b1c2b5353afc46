// Final hidden states (after the last norm) of one sequence: request, answer, and the bound that
// references give.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_HIDDEN_H_
#define CROSSCHECK_PROPERTIES_JUDGES_HIDDEN_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "properties/property.h"
#include "reference/tensor.h"

namespace crosscheck {

struct HiddenStates {
  std::vector<double> values;  // [positions, hidden], row-major
  DType dtype = DType::kF32;
};

Message HiddenRequest(const std::vector<int32_t>& ids);
// Errors name what is missing or of the wrong shape or dtype.
absl::StatusOr<HiddenStates> ReadHidden(const Message& answer, size_t positions, int hidden);

// PASS, ENGINE_BUG/numeric or ENGINE_BUG/nonfinite. Largest and root mean square difference to the
// exact states are each within 2 * 3 * D + 2 ULP, D the largest of the references consulted
// (reference/error_bound.h without the calibrated rung, which exists for logits only). The exact
// states are observation `exact`, the references start at `first_reference`, all with the same
// request.
struct HiddenPlace {
  size_t exact, first_reference;
  size_t positions;
  int hidden;
};
Verdict JudgeHidden(const HiddenStates& engine, const HiddenPlace& place, std::string_view stage,
                    Observations& observations);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_HIDDEN_H_
