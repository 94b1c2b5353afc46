#include "reference/reference_model.h"

#include <algorithm>

namespace crosscheck {

int ArgMax(absl::Span<const double> logits) {
  return static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace crosscheck
