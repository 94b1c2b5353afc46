// Matrix products of small matrices, every output a sum in the order of the numerics.
#ifndef CROSSCHECK_REFERENCE_EXACT_MATMUL_H_
#define CROSSCHECK_REFERENCE_EXACT_MATMUL_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "reference/exact/numerics.h"
#include "reference/weights.h"

namespace crosscheck::exact {

// Row r starts at data + r * stride.
template <class T>
struct Rows {
  T* data;
  ptrdiff_t stride;
};

// A matrix whose columns come in panels of kLanes neighbours: element (row, column) is at
// data + column / kLanes * panel_stride + row * row_stride + column % kLanes. The last panel is
// readable to its end.
template <class T>
struct Panels {
  const T* data;
  ptrdiff_t panel_stride;
  ptrdiff_t row_stride;
};

// A row-major matrix [rows, stride], stride a multiple of kLanes, seen as panels.
template <class T>
Panels<T> AsPanels(const T* data, ptrdiff_t stride) {
  return {data, kLanes<T>, stride};
}

template <class N>
class MatMul {
 public:
  using T = typename N::Scalar;
  // y[rows, columns] = x[rows, inner] · m[inner, columns]; writes nothing beyond `columns`.
  static void Run(Rows<const T> x, Panels<T> m, int rows, int inner, int columns, Rows<T> y);
};

// Rows of a matrix [n, inner] become columns of panels: the layout that x · mᵀ needs. Rows may be
// appended one by one (they are keys of a cache); panels of kLanes rows are contiguous.
template <class T>
void AppendTransposed(const T* row, int inner, int index, std::vector<T>& panels) {
  const size_t panel_size = static_cast<size_t>(inner) * kLanes<T>;
  const size_t needed = (static_cast<size_t>(index) / kLanes<T> + 1) * panel_size;
  if (panels.size() < needed) panels.resize(needed);
  T* to = panels.data() + index / kLanes<T> * panel_size + index % kLanes<T>;
  for (int i = 0; i < inner; ++i) to[i * kLanes<T>] = row[i];
}
template <class T>
Panels<T> TransposedPanels(const T* data, int inner) {
  return {data, static_cast<ptrdiff_t>(inner) * kLanes<T>, kLanes<T>};
}

// y = x · Wᵀ for a weight [out, in] without bias.
template <class N>
class Linear {
 public:
  using T = typename N::Scalar;
  Linear(const Projection& weight, int out, int in);
  Linear(absl::Span<const float> weight, int out, int in)
      : Linear(Projection{.values = weight}, out, in) {}
  // x [rows, in] contiguous, y with row stride `y_stride`.
  void Apply(const T* x, int rows, T* y, ptrdiff_t y_stride) const;
  void Apply(const T* x, int rows, T* y) const { Apply(x, rows, y, out_); }
  int out() const { return out_; }

 private:
  // Rows of x as 8-bit codes; `scales` receives what each row is to be multiplied with.
  std::vector<T> Quantise(const T* x, int rows, std::vector<T>& scales) const;

  int out_;
  int in_;
  Activations activations_;
  std::vector<T> panels_;
};

// Scratch memory that only grows; what is new is zero.
template <class T>
T* Grow(std::vector<T>& buffer, size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_MATMUL_H_
