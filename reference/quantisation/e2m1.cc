#include "reference/quantisation/e2m1.h"

#include <algorithm>
#include <cmath>

namespace crosscheck {

int EncodeE2M1(float value, E2M1Ties ties) {
  const float magnitude = std::min(std::abs(value), 6.0F);
  // Of the values up to the next power of two: 0.5 below 2, 1 below 4, 2 below 8.
  const int exponent = magnitude < 2 ? 0 : magnitude < 4 ? 1 : 2;
  const float steps = std::ldexp(magnitude, 1 - exponent);
  const float rounded = ties == E2M1Ties::kEven ? std::nearbyint(steps) : std::ceil(steps - 0.5F);
  // Two steps more are one exponent more.
  const int code = 2 * exponent + static_cast<int>(rounded);
  const bool sign = std::signbit(value) && (ties == E2M1Ties::kEven || code != 0);
  return code | (sign ? 8 : 0);
}

float DecodeE2M1(int code) {
  constexpr float kMagnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const float magnitude = kMagnitudes[code & 7];
  return (code & 8) != 0 ? -magnitude : magnitude;
}

}  // namespace crosscheck
