// Hands intermediate values of one layer to a TapSink, and goes on with what the sink swaps in;
// costs one null test when nobody listens.
#ifndef CROSSCHECK_REFERENCE_EXACT_TAPS_H_
#define CROSSCHECK_REFERENCE_EXACT_TAPS_H_

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "reference/reference_model.h"

namespace crosscheck::exact {

class LayerTaps {
 public:
  LayerTaps(TapSink* sink, int layer) : sink_(sink), layer_(layer) {}

  bool Wants(std::string_view stage) const {
    return sink_ != nullptr && sink_->Wants(layer_, stage);
  }

  // [rows, columns], value(row, column).
  template <class Value>
  void Emit(std::string_view stage, int rows, int columns, const Value& value) const {
    Emit(stage, {rows, columns}, [&](size_t i) -> decltype(auto) {
      const size_t width = static_cast<size_t>(columns);
      return value(static_cast<int>(i / width), static_cast<int>(i % width));
    });
  }

  // [a, b, c], value(i, j, k).
  template <class Value>
  void Emit(std::string_view stage, int a, int b, int c, const Value& value) const {
    Emit(stage, {a, b, c}, [&](size_t i) -> decltype(auto) {
      const size_t width = static_cast<size_t>(c), height = static_cast<size_t>(b);
      return value(static_cast<int>(i / width / height), static_cast<int>(i / width % height),
                   static_cast<int>(i % width));
    });
  }

  // Contiguous row-major data.
  template <class T>
  void EmitVector(std::string_view stage, int size, T* data) const {
    Emit(stage, {size}, [&](size_t i) -> T& { return data[i]; });
  }
  template <class T>
  void EmitMatrix(std::string_view stage, int rows, int columns, T* data) const {
    Emit(stage, {rows, columns}, [&](size_t i) -> T& { return data[i]; });
  }
  template <class T>
  void EmitCube(std::string_view stage, int a, int b, int c, T* data) const {
    Emit(stage, {a, b, c}, [&](size_t i) -> T& { return data[i]; });
  }

 private:
  // Values that `at` gives by reference may be swapped for those of the sink.
  template <class At>
  void Emit(std::string_view stage, std::vector<int64_t> shape, const At& at) const {
    if (!Wants(stage)) return;
    size_t size = 1;
    for (const int64_t dimension : shape) size *= static_cast<size_t>(dimension);
    std::vector<double> values(size);
    for (size_t i = 0; i < size; ++i) values[i] = static_cast<double>(at(i));
    sink_->Tap(layer_, stage, std::move(shape), std::move(values));
    if constexpr (std::is_assignable_v<decltype(at(0)), double>) {
      const absl::Span<const double> swapped = sink_->SwapIn(layer_, stage);
      if (swapped.size() != size) return;
      for (size_t i = 0; i < size; ++i) {
        at(i) = static_cast<std::remove_reference_t<decltype(at(0))>>(swapped[i]);
      }
    }
  }

  TapSink* sink_;
  int layer_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_TAPS_H_
