// Weights of a generated model: a counter-based function of (seed, tensor name, element), the same
// bits on every machine.
//
// Integers and exact scaling by powers of two only; no libm, so no platform can round differently.
// A Model is the spec plus its weights as the float32 values that a correct engine decodes from the
// checkpoint.
#ifndef CROSSCHECK_REFERENCE_WEIGHTS_H_
#define CROSSCHECK_REFERENCE_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "reference/model_spec.h"
#include "reference/tensor.h"

namespace crosscheck {

enum class WeightStyle { kPlain, kOutlierChannels, kNearTiedHead, kTiedHeadRows, kLarge, kTiny };
inline constexpr std::string_view kWeightStyleNames[] = {
    "plain", "outlier_channels", "near_tied_head", "tied_head_rows", "large", "tiny"};

struct WeightRecipe {
  uint64_t seed = 0;
  WeightStyle style = WeightStyle::kPlain;
  DType storage =
      DType::kF32;  // kF32, kBF16 or kF16: values are rounded to it, the checkpoint stores it
  // Not 0: every weight is moved by -1, 0 or 1 units in its last place, a function of this number.
  // What such a model answers in fp64 shows the conditioning of the case: it is off by about what
  // fp32 rounding may do. Never part of a case, never given to an engine under test.
  int nudge = 0;
  bool operator==(const WeightRecipe&) const = default;
};

// What a case holds: enough to make the same model anywhere.
struct ModelRecipe {
  ModelSpec spec;
  WeightRecipe weights;
  bool operator==(const ModelRecipe&) const = default;
};

struct Model {
  ModelSpec spec;
  DType storage = DType::kF32;
  std::vector<TensorInfo> tensors;         // = Tensors(spec)
  std::vector<std::vector<float>> values;  // values[i] belongs to tensors[i], row-major

  // Values by checkpoint name without the prefix, e.g. "layers.0.mlp.up_proj.weight",
  // "embed_tokens.weight", "lm_head.weight" (the embedding when tied). A name that does not exist
  // is a harness bug and aborts.
  absl::Span<const float> Get(std::string_view name) const;
};

Model GenerateModel(const ModelRecipe& recipe);

// The dtype in which a checkpoint of this storage holds a tensor: A_log and the gated norm stay
// F32, as released ones do.
DType StorageOf(TensorRole role, DType storage);

// 64-bit mix of a counter; the one source of randomness of weights and of named streams.
uint64_t MixBits(uint64_t x);
uint64_t HashName(std::string_view name);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_WEIGHTS_H_
