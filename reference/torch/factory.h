// The symbols that libcrosscheck_torch.so exports. It includes nothing of torch, so that the loader
// can name their types.
#ifndef CROSSCHECK_REFERENCE_TORCH_FACTORY_H_
#define CROSSCHECK_REFERENCE_TORCH_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "reference/reference_model.h"
#include "reference/reference_sampler.h"

namespace crosscheck {

using TorchModelResult = absl::StatusOr<std::unique_ptr<ReferenceModel>>;
using TorchModelFactory = void(std::shared_ptr<const Model>* model, TorchPrecision precision,
                               TorchModelResult* result);
inline constexpr char kTorchLibraryName[] = "libcrosscheck_torch.so";
inline constexpr char kTorchFactoryName[] = "crosscheck_make_torch_model";
using TorchOwnerFactory = void(std::shared_ptr<Model>* model, TorchPrecision precision,
                               TorchModelResult* result);
inline constexpr char kTorchOwnerFactoryName[] = "crosscheck_make_torch_model_from";
using TorchSamplerResult = absl::StatusOr<std::unique_ptr<ReferenceSampler>>;
using TorchSamplerFactory = void(TorchPrecision precision, TorchSamplerResult* result);
inline constexpr char kTorchSamplerFactoryName[] = "crosscheck_make_torch_sampler";

}  // namespace crosscheck

// Moves `*model` into a new model and stores it, or why there is none, in `*result`. Never throws.
extern "C" __attribute__((
    visibility("default"))) crosscheck::TorchModelFactory crosscheck_make_torch_model;

// The same, of a model whose weights it takes.
extern "C" __attribute__((
    visibility("default"))) crosscheck::TorchOwnerFactory crosscheck_make_torch_model_from;

// Stores a sampler in `*result`. Never throws.
extern "C" __attribute__((
    visibility("default"))) crosscheck::TorchSamplerFactory crosscheck_make_torch_sampler;

#endif  // CROSSCHECK_REFERENCE_TORCH_FACTORY_H_
