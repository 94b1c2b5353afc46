// Low-rank adapters (LoRA): y = x · (W + alpha / rank * B · A)ᵀ for some of the projections.
//
// A folder in PEFT's format holds one as adapter_config.json and adapter_model.safetensors with the
// tensors base_model.model.model.layers.<i>.<block>.<module>.lora_A.weight [rank, in] and
// .lora_B.weight [out, rank].
//
// Example:
//   auto updates = GenerateAdapter(spec, {.rank = 2, .alpha = 8, .modules = {AdapterModule::kUp}});
//   WriteAdapter(updates, folder);
#ifndef CROSSCHECK_REFERENCE_ADAPTER_H_
#define CROSSCHECK_REFERENCE_ADAPTER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/model_spec.h"

namespace crosscheck {

// The first three are in every layer, the next four in full attention, the rest in linear
// attention.
enum class AdapterModule {
  kDown,
  kGate,
  kUp,
  kQuery,
  kKey,
  kValue,
  kOutput,
  kLinearQkv,
  kLinearZ,
  kLinearB,
  kLinearA,
  kLinearOutput
};
inline constexpr std::string_view kAdapterModuleNames[] = {
    "down_proj", "gate_proj",   "up_proj",   "q_proj",    "k_proj",    "v_proj",
    "o_proj",    "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj"};

// Which of the layers that have a module: kFirst and kLast are one layer for each module.
enum class AdapterLayers { kAll, kFirst, kLast };
inline constexpr std::string_view kAdapterLayersNames[] = {"all", "first", "last"};

struct AdapterRecipe {
  int rank = 0;  // 0: no adapter
  double alpha = 1;
  std::vector<AdapterModule> modules;  // those that no layer has are skipped
  AdapterLayers layers = AdapterLayers::kAll;
  bool zero_b = false;
  uint64_t seed = 0;
  bool operator==(const AdapterRecipe&) const = default;
};

// The change of one projection.
struct LowRankUpdate {
  std::string name;  // checkpoint name of the weight, with prefix
  int64_t out = 0, in = 0;
  int rank = 0;
  double alpha = 0;
  std::vector<float> a;  // [rank, in]
  std::vector<float> b;  // [out, rank]

  double scale() const { return alpha / rank; }
  // Element (row, column) of scale * B · A, in fp64.
  double At(int64_t row, int64_t column) const;
};

bool HasModule(LayerKind kind, AdapterModule module);

// A function of spec and recipe alone: integers and exact scaling only. B · A is of the size of a
// weight when alpha is the rank.
std::vector<LowRankUpdate> GenerateAdapter(const ModelSpec& spec, const AdapterRecipe& recipe);

// Creates `folder` if needed and replaces the two files in it. `updates` is not empty and has one
// rank and alpha.
absl::Status WriteAdapter(const std::vector<LowRankUpdate>& updates, const std::string& folder);
// Errors name what is missing, of another shape than the model's, no target, or a PEFT option that
// changes the formula (reference/adapter_config.h: DoRA, biases, saved modules, …).
absl::StatusOr<std::vector<LowRankUpdate>> ReadAdapter(const ModelSpec& spec,
                                                       const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_ADAPTER_H_
