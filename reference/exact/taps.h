// Hands intermediate values of one layer to a TapSink; costs one null test when nobody listens.
#ifndef CROSSCHECK_REFERENCE_EXACT_TAPS_H_
#define CROSSCHECK_REFERENCE_EXACT_TAPS_H_

#include <cstdint>
#include <string_view>
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
    if (!Wants(stage)) return;
    std::vector<double> values;
    values.reserve(static_cast<size_t>(rows) * columns);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < columns; ++c) values.push_back(value(r, c));
    }
    sink_->Tap(layer_, stage, {rows, columns}, std::move(values));
  }

  // [a, b, c], value(i, j, k).
  template <class Value>
  void Emit(std::string_view stage, int a, int b, int c, const Value& value) const {
    if (!Wants(stage)) return;
    std::vector<double> values;
    values.reserve(static_cast<size_t>(a) * b * c);
    for (int i = 0; i < a; ++i) {
      for (int j = 0; j < b; ++j) {
        for (int k = 0; k < c; ++k) values.push_back(value(i, j, k));
      }
    }
    sink_->Tap(layer_, stage, {a, b, c}, std::move(values));
  }

  // Contiguous row-major data.
  template <class T>
  void EmitVector(std::string_view stage, int size, const T* data) const {
    if (!Wants(stage)) return;
    sink_->Tap(layer_, stage, {size}, std::vector<double>(data, data + size));
  }
  template <class T>
  void EmitMatrix(std::string_view stage, int rows, int columns, const T* data) const {
    if (!Wants(stage)) return;
    sink_->Tap(layer_, stage, {rows, columns},
               std::vector<double>(data, data + static_cast<size_t>(rows) * columns));
  }
  template <class T>
  void EmitCube(std::string_view stage, int a, int b, int c, const T* data) const {
    if (!Wants(stage)) return;
    sink_->Tap(layer_, stage, {a, b, c},
               std::vector<double>(data, data + static_cast<size_t>(a) * b * c));
  }

 private:
  TapSink* sink_;
  int layer_;
};

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_TAPS_H_
