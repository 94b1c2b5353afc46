#include "reference/exact/blocks/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace crosscheck::exact {
namespace {

// Expert e of the fused tensors gate_up_proj [E, 2I, d] and down_proj [E, d, I].
template <class N>
std::vector<Mlp<N>> MakeExperts(const Model& model, const std::string& prefix) {
  const ModelSpec& spec = model.spec;
  const size_t size = static_cast<size_t>(spec.intermediate) * spec.hidden;
  const absl::Span<const float> gate_up = model.Get(prefix + "experts.gate_up_proj");
  const absl::Span<const float> down = model.Get(prefix + "experts.down_proj");
  std::vector<Mlp<N>> experts;
  experts.reserve(static_cast<size_t>(spec.experts));
  for (size_t e = 0; e < static_cast<size_t>(spec.experts); ++e) {
    experts.emplace_back(gate_up.subspan(2 * e * size, size),
                         gate_up.subspan((2 * e + 1) * size, size), down.subspan(e * size, size),
                         spec.intermediate, spec.hidden);
  }
  return experts;
}

}  // namespace

template <class N>
Mixture<N>::Mixture(const Model& model, const std::string& prefix)
    : hidden_(model.spec.hidden),
      experts_per_token_(model.spec.experts_per_token),
      router_(model.Get(prefix + "gate.weight"), model.spec.experts, model.spec.hidden),
      experts_(MakeExperts<N>(model, prefix)),
      shared_(model, prefix + "shared_expert.", model.spec.shared_intermediate),
      shared_gate_(model.Get(prefix + "shared_expert_gate.weight"), 1, model.spec.hidden) {}

// The k most probable experts, best first, the lower index among equals, and their shares.
template <class N>
void Mixture<N>::SelectRow(const T* logits, T* probabilities, int* selected, T* weights) const {
  const int count = router_.out();
  const T largest = *std::max_element(logits, logits + count);
  for (int e = 0; e < count; ++e) probabilities[e] = std::exp(logits[e] - largest);
  const T total = Sum<N::kOrder>(0, count, T{0}, [&](int e) { return probabilities[e]; });
  for (int e = 0; e < count; ++e) probabilities[e] /= total;
  std::vector<int> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + experts_per_token_, order.end(),
                    [&](int a, int b) {
                      return probabilities[a] > probabilities[b] ||
                             (probabilities[a] == probabilities[b] && a < b);
                    });
  std::copy_n(order.begin(), experts_per_token_, selected);
  const T kept = Sum<N::kOrder>(0, experts_per_token_, T{0},
                                [&](int i) { return probabilities[selected[i]]; });
  for (int i = 0; i < experts_per_token_; ++i) weights[i] = probabilities[selected[i]] / kept;
}

template <class N>
void Mixture<N>::Route(const T* x, int rows, const LayerTaps& taps,
                       MixtureScratch<T>& scratch) const {
  const int count = router_.out();
  const size_t chosen = static_cast<size_t>(rows) * experts_per_token_;
  T* logits = Grow(scratch.logits, static_cast<size_t>(rows) * count);
  T* probabilities = Grow(scratch.probabilities, static_cast<size_t>(count));
  T* weights = Grow(scratch.weights, chosen);
  int* selected = Grow(scratch.selected, chosen);
  router_.Apply(x, rows, logits);
  taps.EmitMatrix("moe.router_logits", rows, count, logits);
  for (int r = 0; r < rows; ++r) {
    const ptrdiff_t first = ptrdiff_t{r} * experts_per_token_;
    SelectRow(logits + ptrdiff_t{r} * count, probabilities, selected + first, weights + first);
  }
  taps.EmitMatrix("moe.selected", rows, experts_per_token_, std::as_const(scratch.selected).data());
  taps.EmitMatrix("moe.router_weights", rows, experts_per_token_, weights);
}

// expert_out [rows, k, d] of the chosen experts.
template <class N>
void Mixture<N>::RunExperts(const T* x, int rows, MixtureScratch<T>& scratch) const {
  const int k = experts_per_token_;
  T* expert_out = Grow(scratch.expert_out, static_cast<size_t>(rows) * k * hidden_);
  for (int r = 0; r < rows; ++r) {
    T* outputs = expert_out + static_cast<size_t>(r) * k * hidden_;
    for (int i = 0; i < k; ++i) {
      const int expert = scratch.selected[static_cast<size_t>(r) * k + i];
      experts_[static_cast<size_t>(expert)].Apply(x + static_cast<size_t>(r) * hidden_, 1,
                                                  LayerTaps(nullptr, -1), scratch.mlp,
                                                  outputs + static_cast<size_t>(i) * hidden_);
    }
  }
}

// routed [rows, d], the weighted sum of the chosen experts.
template <class N>
void Mixture<N>::Combine(int rows, const LayerTaps& taps, MixtureScratch<T>& scratch) const {
  const int k = experts_per_token_;
  taps.EmitCube("moe.expert_out", rows, k, hidden_, scratch.expert_out.data());
  T* routed = Grow(scratch.routed, static_cast<size_t>(rows) * hidden_);
  for (int r = 0; r < rows; ++r) {
    const T* outputs = scratch.expert_out.data() + static_cast<size_t>(r) * k * hidden_;
    const T* weights = scratch.weights.data() + static_cast<size_t>(r) * k;
    for (int c = 0; c < hidden_; ++c) {
      routed[static_cast<size_t>(r) * hidden_ + c] = Sum<N::kOrder>(0, k, T{0}, [&](int i) {
        return weights[i] * outputs[static_cast<size_t>(i) * hidden_ + c];
      });
    }
  }
  taps.EmitMatrix("moe.routed_out", rows, hidden_, routed);
}

template <class N>
void Mixture<N>::RunShared(const T* x, int rows, const LayerTaps& taps,
                           MixtureScratch<T>& scratch) const {
  T* shared_gate = Grow(scratch.shared_gate, static_cast<size_t>(rows));
  T* shared_out = Grow(scratch.shared_out, static_cast<size_t>(rows) * hidden_);
  shared_gate_.Apply(x, rows, shared_gate);
  shared_.Apply(x, rows, LayerTaps(nullptr, -1), scratch.mlp, shared_out);
  taps.EmitVector("moe.shared_gate_logit", rows, shared_gate);
  taps.EmitMatrix("moe.shared_out_ungated", rows, hidden_, shared_out);
}

template <class N>
void Mixture<N>::Apply(const T* x, int rows, const LayerTaps& taps, MixtureScratch<T>& scratch,
                       T* y) const {
  Route(x, rows, taps, scratch);
  RunExperts(x, rows, scratch);
  Combine(rows, taps, scratch);
  RunShared(x, rows, taps, scratch);
  for (int r = 0; r < rows; ++r) {
    const T gate = Sigmoid(scratch.shared_gate[r]);
    for (int c = 0; c < hidden_; ++c) {
      const size_t at = static_cast<size_t>(r) * hidden_ + c;
      y[at] = scratch.routed[at] + gate * scratch.shared_out[at];
    }
  }
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Mixture);

}  // namespace crosscheck::exact
