#include "reference/exact/blocks/norm.h"

namespace crosscheck::exact {

template <class N>
RmsNorm<N>::RmsNorm(absl::Span<const float> weight, double eps, NormWeight kind)
    : eps_(static_cast<T>(eps)) {
  scale_.reserve(weight.size());
  const T offset = kind == NormWeight::kOnePlus ? T{1} : T{0};
  for (const float w : weight) scale_.push_back(offset + T{w});
}

template <class N>
void RmsNorm<N>::Apply(const T* x, int rows, ptrdiff_t x_stride, T* y) const {
  const int size = static_cast<int>(scale_.size());
  for (int r = 0; r < rows; ++r, x += x_stride, y += size) {
    const T inverse = InverseNorm<N>(x, size, static_cast<T>(size), eps_);
    for (int i = 0; i < size; ++i) y[i] = x[i] * inverse * scale_[i];
  }
}

template <class N>
void RmsNorm<N>::Apply(const T* x, int rows, T* y) const {
  Apply(x, rows, static_cast<ptrdiff_t>(scale_.size()), y);
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(RmsNorm);

}  // namespace crosscheck::exact
