// The one symbol that libcrosscheck_torch.so exports. It includes nothing of torch, so that the
// loader can name its type.
#ifndef CROSSCHECK_REFERENCE_TORCH_FACTORY_H_
#define CROSSCHECK_REFERENCE_TORCH_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "reference/reference_model.h"

namespace crosscheck {

using TorchModelResult = absl::StatusOr<std::unique_ptr<ReferenceModel>>;
using TorchModelFactory = void(std::shared_ptr<const Model>* model, TorchPrecision precision,
                               TorchModelResult* result);
inline constexpr char kTorchLibraryName[] = "libcrosscheck_torch.so";
inline constexpr char kTorchFactoryName[] = "crosscheck_make_torch_model";

}  // namespace crosscheck

// Moves `*model` into a new model and stores it, or why there is none, in `*result`. Never throws.
extern "C" __attribute__((
    visibility("default"))) crosscheck::TorchModelFactory crosscheck_make_torch_model;

#endif  // CROSSCHECK_REFERENCE_TORCH_FACTORY_H_
