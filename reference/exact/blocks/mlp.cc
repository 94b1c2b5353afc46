#include "reference/exact/blocks/mlp.h"

namespace crosscheck::exact {

template <class N>
Mlp<N>::Mlp(const Model& model, const std::string& prefix)
    : gate_(model.Get(prefix + "mlp.gate_proj.weight"), model.spec.intermediate, model.spec.hidden),
      up_(model.Get(prefix + "mlp.up_proj.weight"), model.spec.intermediate, model.spec.hidden),
      down_(model.Get(prefix + "mlp.down_proj.weight"), model.spec.hidden,
            model.spec.intermediate) {}

template <class N>
void Mlp<N>::Apply(const T* x, int rows, MlpScratch<T>& scratch, T* y) const {
  const size_t size = static_cast<size_t>(rows) * gate_.out();
  T* gate = Grow(scratch.gate, size);
  T* up = Grow(scratch.up, size);
  gate_.Apply(x, rows, gate);
  up_.Apply(x, rows, up);
  for (size_t i = 0; i < size; ++i) gate[i] = Silu(gate[i]) * up[i];
  down_.Apply(gate, rows, y);
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Mlp);

}  // namespace crosscheck::exact
