// A reference model behind the engine protocol, so that references stand in as engines and one
// contract serves all.
#ifndef CROSSCHECK_ENGINES_REFERENCE_ENGINE_H_
#define CROSSCHECK_ENGINES_REFERENCE_ENGINE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engines/engine.h"
#include "reference/reference_model.h"
#include "reference/reference_sampler.h"

namespace crosscheck {

class ReferenceEngine : public Engine {
 public:
  using Factory =
      std::function<absl::StatusOr<std::unique_ptr<ReferenceModel>>(std::shared_ptr<const Model>)>;
  using SamplerFactory = std::function<absl::StatusOr<std::unique_ptr<ReferenceSampler>>()>;
  // Like a Factory, of a model whose weights it may take; its spec stays.
  using OwnerFactory =
      std::function<absl::StatusOr<std::unique_ptr<ReferenceModel>>(std::shared_ptr<Model>)>;
  // `owner`, where there is one, makes the models that `load` reads from files. `answers`: dtype of
  // the tensors in answers, kF64 or kF32; kF32 is exact for an fp32 model.
  static std::unique_ptr<ReferenceEngine> Create(
      std::string name, Factory factory, SamplerFactory sampler = [] { return MakeExactSampler(); },
      DType answers = DType::kF64, OwnerFactory owner = nullptr);

  // Loads a model without files and returns the id that later requests name in "model"; what the
  // executor uses.
  virtual absl::StatusOr<std::string> LoadModel(std::shared_ptr<const Model> model) = 0;
  virtual void UnloadModel(const std::string& id) = 0;
};

// Families exact and torch; variants are the names of ExactVariant and TorchPrecision, "" is fp64
// for exact and fp32 for torch. Loads nothing: a library that is missing shows in the first load
// or hello.
absl::StatusOr<std::unique_ptr<ReferenceEngine>> OpenReferenceEngine(std::string_view family,
                                                                     std::string_view variant);

}  // namespace crosscheck

#endif  // CROSSCHECK_ENGINES_REFERENCE_ENGINE_H_
