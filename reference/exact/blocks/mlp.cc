#include "reference/exact/blocks/mlp.h"

namespace crosscheck::exact {

template <class N>
Mlp<N>::Mlp(absl::Span<const float> gate, absl::Span<const float> up, absl::Span<const float> down,
            int intermediate, int hidden)
    : gate_(gate, intermediate, hidden),
      up_(up, intermediate, hidden),
      down_(down, hidden, intermediate) {}

template <class N>
Mlp<N>::Mlp(const Model& model, const std::string& prefix, int intermediate)
    : gate_(model.GetProjection(prefix + "gate_proj.weight"), intermediate, model.spec.hidden),
      up_(model.GetProjection(prefix + "up_proj.weight"), intermediate, model.spec.hidden),
      down_(model.GetProjection(prefix + "down_proj.weight"), model.spec.hidden, intermediate) {}

template <class N>
void Mlp<N>::Apply(const T* x, int rows, const LayerTaps& taps, MlpScratch<T>& scratch,
                   T* y) const {
  const size_t size = static_cast<size_t>(rows) * gate_.out();
  T* gate = Grow(scratch.gate, size);
  T* up = Grow(scratch.up, size);
  gate_.Apply(x, rows, gate);
  up_.Apply(x, rows, up);
  taps.EmitMatrix("mlp.gate", rows, gate_.out(), gate);
  taps.EmitMatrix("mlp.up", rows, up_.out(), up);
  for (size_t i = 0; i < size; ++i) gate[i] = Silu(gate[i]) * up[i];
  taps.EmitMatrix("mlp.activated", rows, gate_.out(), gate);
  down_.Apply(gate, rows, y);
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Mlp);

}  // namespace crosscheck::exact
