#include "reference/quantisation/f16.h"

#include <algorithm>

#include "reference/tensor.h"

namespace crosscheck {

std::vector<float> DecodeFromF16(absl::Span<const float> values) {
  std::vector<float> decoded(values.size());
  std::transform(values.begin(), values.end(), decoded.begin(),
                 [](float value) { return DecodeF16(EncodeF16(value)); });
  return decoded;
}

}  // namespace crosscheck
