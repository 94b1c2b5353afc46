#include "reference/exact/matmul.h"

#include <algorithm>
#include <cmath>

namespace crosscheck::exact {
namespace {

// Accumulators of kRows rows and kPanels panels of the result, meant to live in registers.
template <class T, int kRows, int kPanels>
struct Tile {
  Lanes<T> cells[kRows * kPanels];

  static Tile Zero() {
    Tile tile;
    for (auto& cell : tile.cells) cell = Lanes<T>{};
    return tile;
  }
  Tile& operator+=(const Tile& other) {
    for (int i = 0; i < kRows * kPanels; ++i) cells[i] += other.cells[i];
    return *this;
  }
};

template <class T>
void StoreColumns(const Lanes<T>& lanes, int columns, T* to) {
  if (columns >= kLanes<T>) {
    Store<T>(lanes, to);
  } else {
    for (int i = 0; i < columns; ++i) to[i] = lanes[i];
  }
}

// Rows row … row+kRows-1 of all columns from `column` on, as far as whole groups of kPanels go;
// returns the next column.
template <class N, int kRows, int kPanels, class T = typename N::Scalar>
int MultiplyRows(Rows<const T> x, Panels<T> m, int inner, int columns, int column, Rows<T> y) {
  using TileT = Tile<T, kRows, kPanels>;
  for (; column + (kPanels - 1) * kLanes<T> < columns; column += kPanels * kLanes<T>) {
    const T* panel = m.data + column / kLanes<T> * m.panel_stride;
    const TileT sum = Sum<N::kOrder>(0, inner, TileT::Zero(), [&](int k) {
      TileT products;
      for (int p = 0; p < kPanels; ++p) {
        const Lanes<T> weights = Load(panel + p * m.panel_stride + k * m.row_stride);
        for (int r = 0; r < kRows; ++r) {
          products.cells[r * kPanels + p] = weights * x.data[r * x.stride + k];
        }
      }
      return products;
    });
    for (int r = 0; r < kRows; ++r) {
      for (int p = 0; p < kPanels; ++p) {
        const int first = column + p * kLanes<T>;
        StoreColumns<T>(sum.cells[r * kPanels + p], columns - first, y.data + r * y.stride + first);
      }
    }
  }
  return column;
}

}  // namespace

template <class N>
void MatMul<N>::Run(Rows<const T> x, Panels<T> m, int rows, int inner, int columns, Rows<T> y) {
  // Shapes that keep eight accumulators: enough to hide the latency of an addition, few enough for
  // 16 registers.
  int row = 0;
  const auto run = [&]<int kRows, int kPanels>() {
    for (; row + kRows <= rows; row += kRows) {
      const Rows<const T> from{x.data + row * x.stride, x.stride};
      const Rows<T> to{y.data + row * y.stride, y.stride};
      const int column = MultiplyRows<N, kRows, kPanels>(from, m, inner, columns, 0, to);
      MultiplyRows<N, kRows, 1>(from, m, inner, columns, column, to);
    }
  };
  run.template operator()<4, 2>();
  run.template operator()<2, 4>();
  run.template operator()<1, 8>();
}

template <class N>
Linear<N>::Linear(const Projection& weight, int out, int in)
    : out_(out), in_(in), activations_(weight.activations) {
  panels_.resize(static_cast<size_t>(PadToLanes<T>(out)) * in);
  for (int o = 0; o < out; ++o) {
    T* to = panels_.data() + static_cast<size_t>(o / kLanes<T>) * in * kLanes<T> + o % kLanes<T>;
    const float* row = weight.values.data() + static_cast<size_t>(o) * in;
    for (int i = 0; i < in; ++i) {
      // An adapter is merged in fp64, so that the exact model is the merged one.
      to[i * kLanes<T>] =
          weight.update == nullptr ? row[i] : static_cast<T>(row[i] + weight.update->At(o, i));
    }
  }
}

template <class N>
std::vector<typename N::Scalar> Linear<N>::Quantise(const T* x, int rows,
                                                    std::vector<T>& scales) const {
  std::vector<T> codes(static_cast<size_t>(rows) * in_);
  scales.assign(rows, T{0});
  for (int r = 0; r < rows; ++r) {
    const T* from = x + static_cast<size_t>(r) * in_;
    T largest = 0;
    for (int i = 0; i < in_; ++i) largest = std::max(largest, std::abs(from[i]));
    if (largest == T{0}) continue;
    scales[r] = largest / 127;
    for (int i = 0; i < in_; ++i) {
      codes[static_cast<size_t>(r) * in_ + i] = std::round(from[i] / scales[r]);
    }
  }
  return codes;
}

template <class N>
void Linear<N>::Apply(const T* x, int rows, T* y, ptrdiff_t y_stride) const {
  std::vector<T> codes, scales;
  if (activations_ == Activations::kInt8) {
    codes = Quantise(x, rows, scales);
    x = codes.data();
  }
  MatMul<N>::Run({x, in_}, TransposedPanels(panels_.data(), in_), rows, in_, out_, {y, y_stride});
  for (size_t r = 0; r < scales.size(); ++r) {
    for (int o = 0; o < out_; ++o) y[static_cast<ptrdiff_t>(r) * y_stride + o] *= scales[r];
  }
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(MatMul);
CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Linear);

}  // namespace crosscheck::exact
