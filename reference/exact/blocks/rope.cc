#include "reference/exact/blocks/rope.h"

#include <cmath>

namespace crosscheck::exact {

template <class N>
Rope<N>::Rope(double theta, int rotary_dim) {
  for (int i = 0; i < rotary_dim; i += 2) {
    const T exponent = static_cast<T>(i) / static_cast<T>(rotary_dim);
    inverse_frequencies_.push_back(T{1} / std::pow(static_cast<T>(theta), exponent));
  }
}

template <class N>
void Rope<N>::Angles(absl::Span<const int> positions, RotaryAngles<T>& angles) const {
  angles.cos.clear();
  angles.sin.clear();
  for (const int position : positions) {
    for (const T frequency : inverse_frequencies_) {
      const T angle = static_cast<T>(position) * frequency;
      angles.cos.push_back(std::cos(angle));
      angles.sin.push_back(std::sin(angle));
    }
  }
}

template <class N>
void Rope<N>::Rotate(const RotaryAngles<T>& angles, int row, T* head) const {
  const int half = static_cast<int>(inverse_frequencies_.size());
  const T* cos = angles.cos.data() + static_cast<size_t>(row) * half;
  const T* sin = angles.sin.data() + static_cast<size_t>(row) * half;
  for (int i = 0; i < half; ++i) {
    const T first = head[i];
    const T second = head[i + half];
    head[i] = first * cos[i] - second * sin[i];
    head[i + half] = second * cos[i] + first * sin[i];
  }
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Rope);

}  // namespace crosscheck::exact
