// The references that goldens judge by default. Header-only: whoever includes it links the exact
// model.
#ifndef CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_
#define CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_

#include <memory>
#include <string>
#include <vector>

#include "reference/golden.h"
#include "reference/reference_model.h"

namespace crosscheck {

// The exact model and its float32 variants ("exact-fp64", …), then libtorch ("torch-fp64", …),
// which loads its library when the first model is made.
inline std::vector<GoldenImplementation> GoldenImplementations() {
  std::vector<GoldenImplementation> implementations;
  for (size_t i = 0; i < std::size(kExactVariantNames); ++i) {
    const auto variant = static_cast<ExactVariant>(i);
    const auto precision =
        variant == ExactVariant::kFp64 ? GoldenPrecision::kFp64 : GoldenPrecision::kFp32;
    implementations.push_back({"exact-" + std::string(kExactVariantNames[i]), precision,
                               [variant](std::shared_ptr<const Model> model) {
                                 return MakeExactModel(std::move(model), variant);
                               }});
  }
  for (size_t i = 0; i < std::size(kTorchPrecisionNames); ++i) {
    const auto torch = static_cast<TorchPrecision>(i);
    const auto precision =
        torch == TorchPrecision::kFp64 ? GoldenPrecision::kFp64 : GoldenPrecision::kFp32;
    implementations.push_back({"torch-" + std::string(kTorchPrecisionNames[i]), precision,
                               [torch](std::shared_ptr<const Model> model) {
                                 return MakeTorchModel(std::move(model), torch);
                               }});
  }
  return implementations;
}

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_
