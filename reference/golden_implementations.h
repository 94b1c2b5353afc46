// The references that goldens judge. Header-only: whoever includes it links the exact model.
#ifndef CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_
#define CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reference/golden.h"
#include "reference/reference_model.h"

namespace crosscheck {

// Named "exact-" and the variant.
inline GoldenImplementation ExactGoldenImplementation(ExactVariant variant) {
  const bool wide = variant == ExactVariant::kFp64;
  return {"exact-" + std::string(kExactVariantNames[static_cast<size_t>(variant)]),
          wide ? GoldenPrecision::kFp64 : GoldenPrecision::kFp32,
          [variant](std::shared_ptr<const Model> model) {
            return MakeExactModel(std::move(model), variant);
          }};
}

// Named "torch-" and the precision. Making the first model loads libtorch.
inline GoldenImplementation TorchGoldenImplementation(TorchPrecision precision) {
  const bool wide = precision == TorchPrecision::kFp64;
  return {"torch-" + std::string(kTorchPrecisionNames[static_cast<size_t>(precision)]),
          wide ? GoldenPrecision::kFp64 : GoldenPrecision::kFp32,
          [precision](std::shared_ptr<const Model> model) {
            return MakeTorchModel(std::move(model), precision);
          }};
}

// Both references in both precisions.
inline std::vector<GoldenImplementation> GoldenImplementations() {
  return {ExactGoldenImplementation(ExactVariant::kFp64),
          ExactGoldenImplementation(ExactVariant::kFp32Recurrent),
          TorchGoldenImplementation(TorchPrecision::kFp64),
          TorchGoldenImplementation(TorchPrecision::kFp32)};
}

// The other legal orders of summation of the exact model in float32.
inline std::vector<GoldenImplementation> PerturbedGoldenImplementations() {
  return {ExactGoldenImplementation(ExactVariant::kFp32ChunkedReversed),
          ExactGoldenImplementation(ExactVariant::kFp32ChunkedPairwise)};
}

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_GOLDEN_IMPLEMENTATIONS_H_
