// The frame that a family of models fills: a Network computes, the session of model.cc checks
// requests and keeps states.
//
// Adding a family: families/<name>.cc with a Network and a file-level NetworkRegistration, and its
// name in the CMake list.
#ifndef CROSSCHECK_REFERENCE_TORCH_MODEL_H_
#define CROSSCHECK_REFERENCE_TORCH_MODEL_H_

#include <memory>
#include <vector>

#include "reference/torch/layers.h"

namespace crosscheck::torch_reference {

// Immutable once made, so any number of threads may use it.
class Network {
 public:
  virtual ~Network() = default;
  // One entry per layer, for a sequence of no positions.
  virtual std::vector<LayerState> EmptyStates() const = 0;
  // ids [S] int32 -> what the language model head takes, [S, d]. Replaces the states.
  virtual at::Tensor Forward(const at::Tensor& ids, const Step& step,
                             std::vector<LayerState>& states) const = 0;
  virtual at::Tensor Head(const at::Tensor& hidden) const = 0;  // [rows, d] -> [rows, V]
};

using NetworkFactory = std::unique_ptr<Network> (*)(const Weights& weights);

struct NetworkRegistration {
  NetworkRegistration(Family family, NetworkFactory factory);
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_MODEL_H_
