#include "reference/exact/blocks/delta_rule.h"

#include <algorithm>
#include <cmath>

namespace crosscheck::exact {
namespace {

template <class T>
T* Row(Rows<T> rows, int r) {
  return rows.data + r * rows.stride;
}

template <class T>
Rows<T> From(Rows<T> rows, int r) {
  return {rows.data + r * rows.stride, rows.stride};
}

// y[0..n) = scale · y + x.
template <class T>
void ScaleAndAdd(int n, T scale, const T* x, T* y) {
  for (int i = 0; i < n; ++i) y[i] = scale * y[i] + x[i];
}

}  // namespace

template <class N>
void DeltaRules<N>::RunRecurrent(const DeltaHead<T>& head) {
  const int width = head.padded_value_dim;
  for (int t = 0; t < head.rows; ++t) {
    const T* query = Row(head.query, t);
    const T* key = Row(head.key, t);
    const T decay = std::exp(*Row(head.log_decay, t));
    const T beta = *Row(head.beta, t);
    for (int c = 0; c < width; c += kLanes<T>) {
      T* state = head.state + c;
      const Lanes<T> zero{};
      const Lanes<T> read = Sum<N::kOrder>(0, head.key_dim, zero, [&](int i) -> Lanes<T> {
        const Lanes<T> decayed = Load(state + i * width) * decay;
        Store<T>(decayed, state + i * width);
        return decayed * key[i];
      });
      const Lanes<T> delta = (Load(Row(head.value, t) + c) - read) * beta;
      const Lanes<T> output = Sum<N::kOrder>(0, head.key_dim, zero, [&](int i) -> Lanes<T> {
        const Lanes<T> updated = Load(state + i * width) + delta * key[i];
        Store<T>(updated, state + i * width);
        return updated * query[i];
      });
      Store<T>(output, Row(head.output, t) + c);
    }
  }
}

template <class N>
void DeltaRules<N>::RunChunked(const DeltaHead<T>& head, ChunkScratch<T>& scratch) {
  for (int first = 0; first < head.rows; first += kChunk) {
    DeltaHead<T> chunk = head;
    chunk.rows = std::min(kChunk, head.rows - first);
    chunk.query = From(head.query, first);
    chunk.key = From(head.key, first);
    chunk.value = From(head.value, first);
    chunk.log_decay = From(head.log_decay, first);
    chunk.beta = From(head.beta, first);
    chunk.output = From(head.output, first);
    RunChunk(chunk, scratch);
  }
}

// O = diag(e^γ) Q S + tril(Q Kᵀ ⊙ Γ) V', with V' = U − W S and Γ_ij = e^(γ_i − γ_j).
template <class N>
void DeltaRules<N>::RunChunk(const DeltaHead<T>& head, ChunkScratch<T>& scratch) {
  const int n = head.rows;
  const int value_width = head.padded_value_dim;
  const int width = value_width + PadToLanes<T>(head.key_dim);
  const Panels<T> state = AsPanels<T>(head.state, value_width);
  SolveChunk(head, scratch);
  T* solution = scratch.solution.data();  // [n, U | W], U becomes V'
  T* product = Grow(scratch.product, static_cast<size_t>(std::max(n, head.key_dim)) * value_width);
  MatMul<N>::Run({solution + value_width, width}, state, n, head.key_dim, value_width,
                 {product, value_width});
  for (int i = 0; i < n; ++i) {
    for (int c = 0; c < value_width; ++c) solution[i * width + c] -= product[i * value_width + c];
  }
  T* attention = Grow(scratch.attention, static_cast<size_t>(n) * n);
  const T* gamma = scratch.cumulative.data();
  MatMul<N>::Run(head.query, TransposedPanels(scratch.key_panels.data(), head.key_dim), n,
                 head.key_dim, n, {attention, n});
  MatMul<N>::Run(head.query, state, n, head.key_dim, value_width, head.output);
  for (int i = 0; i < n; ++i) {
    T* row = attention + i * n;
    for (int j = 0; j <= i; ++j) row[j] *= std::exp(gamma[i] - gamma[j]);
    MatMul<N>::Run({row, n}, AsPanels<T>(solution, width), 1, i + 1, value_width,
                   {product, value_width});
    ScaleAndAdd(value_width, std::exp(gamma[i]), product, Row(head.output, i));
  }
  UpdateState(head, scratch);
}

// [U | W] = (I + A)⁻¹ diag(β) [V | diag(e^γ) K] with A = stricttril(diag(β) K Kᵀ ⊙ Γ), by forward
// substitution.
template <class N>
void DeltaRules<N>::SolveChunk(const DeltaHead<T>& head, ChunkScratch<T>& scratch) {
  const int n = head.rows;
  const int value_width = head.padded_value_dim;
  const int width = value_width + PadToLanes<T>(head.key_dim);
  T* gamma = Grow(scratch.cumulative, kChunk);
  for (int i = 0; i < n; ++i) {
    gamma[i] = *Row(head.log_decay, i) + (i == 0 ? T{0} : gamma[i - 1]);
    AppendTransposed(Row(head.key, i), head.key_dim, i, scratch.key_panels);
  }
  T* system = Grow(scratch.system, static_cast<size_t>(n) * n);
  MatMul<N>::Run(head.key, TransposedPanels(scratch.key_panels.data(), head.key_dim), n,
                 head.key_dim, n, {system, n});
  T* solution = Grow(scratch.solution, static_cast<size_t>(n) * width);
  T* product = Grow(scratch.product, static_cast<size_t>(width));
  for (int i = 0; i < n; ++i) {
    const T beta = *Row(head.beta, i);
    T* row = solution + i * width;
    std::fill_n(row, width, T{0});
    for (int c = 0; c < value_width; ++c) row[c] = beta * Row(head.value, i)[c];
    const T scale = beta * std::exp(gamma[i]);
    for (int c = 0; c < head.key_dim; ++c) row[value_width + c] = scale * Row(head.key, i)[c];
    T* coefficients = system + i * n;
    for (int j = 0; j < i; ++j) coefficients[j] *= beta * std::exp(gamma[i] - gamma[j]);
    MatMul<N>::Run({coefficients, n}, AsPanels<T>(solution, width), 1, i, width, {product, width});
    for (int c = 0; c < width; ++c) row[c] -= product[c];
  }
}

// S ← e^(γ_last) S + (diag(e^(γ_last − γ)) K)ᵀ V'.
template <class N>
void DeltaRules<N>::UpdateState(const DeltaHead<T>& head, ChunkScratch<T>& scratch) {
  const int n = head.rows;
  const int value_width = head.padded_value_dim;
  const int width = value_width + PadToLanes<T>(head.key_dim);
  const T* gamma = scratch.cumulative.data();
  T* keys = Grow(scratch.decayed_keys, static_cast<size_t>(n) * head.key_dim);  // [Dk, n]
  for (int i = 0; i < n; ++i) {
    const T scale = std::exp(gamma[n - 1] - gamma[i]);
    for (int c = 0; c < head.key_dim; ++c) keys[c * n + i] = scale * Row(head.key, i)[c];
  }
  T* product = scratch.product.data();
  MatMul<N>::Run({keys, n}, AsPanels<T>(scratch.solution.data(), width), head.key_dim, n,
                 value_width, {product, value_width});
  ScaleAndAdd(head.key_dim * value_width, std::exp(gamma[n - 1]), product, head.state);
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(DeltaRules);

}  // namespace crosscheck::exact
