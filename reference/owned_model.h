// A libtorch model that takes the weights over instead of sharing them, for checkpoints that should
// be in memory once.
#ifndef CROSSCHECK_REFERENCE_OWNED_MODEL_H_
#define CROSSCHECK_REFERENCE_OWNED_MODEL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "reference/reference_model.h"

namespace crosscheck {

// As MakeTorchModel; afterwards the values of `model` are empty, its spec stays. Each tensor is
// freed as soon as it is converted.
absl::StatusOr<std::unique_ptr<ReferenceModel>> TakeTorchModel(std::shared_ptr<Model> model,
                                                               TorchPrecision precision);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_OWNED_MODEL_H_
