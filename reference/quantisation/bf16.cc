#include "reference/quantisation/bf16.h"

#include <algorithm>

#include "reference/tensor.h"

namespace crosscheck {

std::vector<float> DecodeFromBF16(absl::Span<const float> values) {
  std::vector<float> decoded(values.size());
  std::transform(values.begin(), values.end(), decoded.begin(),
                 [](float value) { return DecodeBF16(EncodeBF16(value)); });
  return decoded;
}

}  // namespace crosscheck
