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
#include "reference/adapter.h"
#include "reference/model_spec.h"
#include "reference/model_transform.h"
#include "reference/tensor.h"

namespace crosscheck {

enum class WeightStyle { kPlain, kOutlierChannels, kNearTiedHead, kTiedHeadRows, kLarge, kTiny };
inline constexpr std::string_view kWeightStyleNames[] = {
    "plain", "outlier_channels", "near_tied_head", "tied_head_rows", "large", "tiny"};

// Rows of routers: independent, or half of the pairs (e, e + E/2) almost or exactly equal.
enum class RouterStyle { kPlain, kNearTied, kTied };
inline constexpr std::string_view kRouterStyleNames[] = {"plain", "near_tied", "tied"};

struct WeightRecipe {
  uint64_t seed = 0;
  WeightStyle style = WeightStyle::kPlain;
  DType storage =
      DType::kF32;  // kF32, kBF16 or kF16: values are rounded to it, the checkpoint stores it
  // Not 0: every weight is moved by -1, 0 or 1 units in its last place, a function of this number.
  // What such a model answers in fp64 shows the conditioning of the case: it is off by about what
  // fp32 rounding may do. Never part of a case, never given to an engine under test.
  int nudge = 0;
  RouterStyle router = RouterStyle::kPlain;  // of a mixture of experts
  bool operator==(const WeightRecipe&) const = default;
};

// The format in which an engine holds the weights (reference/quantisation/weight_format.h).
enum class WeightFormat { kF32, kF16, kInt8, kQ80 };
inline constexpr std::string_view kWeightFormatNames[] = {"f32", "f16", "int8", "q8_0"};

// How an engine is asked to serve a checkpoint. Part of the recipe of a Run, never of a case: the
// engine gets the checkpoint as it is and load options, references get a Model with what follows.
struct Serving {
  WeightFormat format = WeightFormat::kF32;
  AdapterRecipe adapter = {};
  bool merged = false;  // the adapter is added to the weights of the checkpoint, rounded to float32
  bool operator==(const Serving&) const = default;
};

// What a case holds: enough to make the same model anywhere.
struct ModelRecipe {
  ModelSpec spec;
  WeightRecipe weights;
  ModelTransform transform = {};  // never part of a case
  Serving serving = {};
  std::vector<ZeroedBlock> zeroed = {};  // never part of a case
  bool operator==(const ModelRecipe&) const = default;
};

// What a projection and the head take as input: kInt8 rounds every input vector x to codes
// q = round(x / s), halves away from zero, with s = max|x| / 127, and multiplies with q * s.
enum class Activations { kFloat, kInt8 };

// A matrix [out, in] and how it is multiplied with.
struct Projection {
  absl::Span<const float> values;
  Activations activations = Activations::kFloat;
  const LowRankUpdate* update = nullptr;  // added to the matrix; null: none
};

struct Model {
  ModelSpec spec;
  DType storage = DType::kF32;
  std::vector<TensorInfo> tensors;           // = Tensors(spec)
  std::vector<std::vector<float>> values;    // values[i] belongs to tensors[i], row-major
  WeightFormat format = WeightFormat::kF32;  // that `values` were decoded from
  Activations activations = Activations::kFloat;
  // Not empty: the head of a tied model, where its format is not that of the embedding.
  std::vector<float> head = {};
  std::vector<LowRankUpdate> updates = {};  // an adapter that is applied beside the weights

  // Values by checkpoint name without the prefix, e.g. "layers.0.mlp.up_proj.weight",
  // "embed_tokens.weight", "lm_head.weight" (the embedding when tied). A name that does not exist
  // is a harness bug and aborts.
  absl::Span<const float> Get(std::string_view name) const;
  // A matrix that activations are multiplied with: a projection or the head.
  Projection GetProjection(std::string_view name) const;
};

// The model as `recipe.serving` has it; a format that cannot hold the spec is a harness bug and
// aborts.
Model GenerateModel(const ModelRecipe& recipe);

// The dtype in which a checkpoint of this storage holds a tensor: A_log and the gated norm stay
// F32, as released ones do.
DType StorageOf(TensorRole role, DType storage);

// 64-bit mix of a counter; the one source of randomness of weights and of named streams.
uint64_t MixBits(uint64_t x);
uint64_t HashName(std::string_view name);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_WEIGHTS_H_
