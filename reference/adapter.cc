#include "reference/adapter.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/adapter_config.h"
#include "reference/safetensors.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr char kConfigFile[] = "adapter_config.json";
constexpr char kWeightsFile[] = "adapter_model.safetensors";
constexpr std::string_view kPeftModel = "base_model.model.";  // then the path of a module
constexpr std::string_view kPeftPrefix = "base_model.model.model.";
constexpr std::string_view kWeightSuffix = ".weight";

std::string_view ModuleOf(std::string_view name) {
  name.remove_suffix(kWeightSuffix.size());
  return name.substr(name.rfind('.') + 1);
}

// "model.language_model.layers.0.mlp.up_proj.weight" ->
// "base_model.model.model.layers.0.mlp.up_proj"
std::string PeftName(std::string_view name) {
  name.remove_prefix(name.find("layers."));
  name.remove_suffix(kWeightSuffix.size());
  return std::string(kPeftPrefix).append(name);
}

// Uniform in [-1, 1) times 2^-exponent.
std::vector<float> Factor(uint64_t key, int64_t count, int exponent) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto bits = static_cast<int32_t>(MixBits(key + i) >> 40);
    values[i] = std::ldexp(static_cast<float>(bits - (1 << 23)), -23 - exponent);
  }
  return values;
}

// About log2(sqrt(n)).
int HalfLog(int64_t n) {
  int exponent = 0;
  while ((int64_t{1} << (2 * exponent)) < n) ++exponent;
  return exponent;
}

std::vector<int> LayersOf(const ModelSpec& spec, AdapterModule module, AdapterLayers which) {
  std::vector<int> layers;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (HasModule(spec.layers[i], module)) layers.push_back(static_cast<int>(i));
  }
  if (layers.empty() || which == AdapterLayers::kAll) return layers;
  return {which == AdapterLayers::kFirst ? layers.front() : layers.back()};
}

absl::Status MakeFolder(const std::string& folder) {
  if (mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("cannot create folder ", folder, ": ", std::strerror(errno)));
}

using Factors = std::map<std::string, Tensor>;

absl::StatusOr<Factors> ReadFactors(const std::string& folder) {
  auto bytes = ReadFile(absl::StrCat(folder, "/", kWeightsFile));
  if (!bytes.ok()) return bytes.status();
  auto tensors = DecodeSafetensors(*bytes);
  if (!tensors.ok()) return tensors.status();
  Factors factors;
  for (Tensor& tensor : *tensors) {
    std::string name = tensor.name;
    factors.emplace(std::move(name), std::move(tensor));
  }
  return factors;
}

// Takes the factor out of `factors`.
absl::StatusOr<std::vector<float>> TakeFactor(Factors& factors, const std::string& name,
                                              std::vector<int64_t> shape) {
  const auto found = factors.find(name);
  if (found == factors.end()) return absl::NotFoundError(absl::StrCat(name, " is missing"));
  if (found->second.shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is not of shape [", shape[0], ", ", shape[1], "]"));
  }
  auto values = found->second.ToDoubles();
  if (!values.ok()) return values.status();
  factors.erase(found);
  return std::vector<float>(values->begin(), values->end());
}

}  // namespace

double LowRankUpdate::At(int64_t row, int64_t column) const {
  double sum = 0;
  for (int r = 0; r < rank; ++r) {
    sum += static_cast<double>(b[static_cast<size_t>(row * rank + r)]) *
           a[static_cast<size_t>(r * in + column)];
  }
  return scale() * sum;
}

bool HasModule(LayerKind kind, AdapterModule module) {
  if (module <= AdapterModule::kUp) return true;
  return (kind == LayerKind::kFullAttention) == (module <= AdapterModule::kOutput);
}

std::vector<LowRankUpdate> GenerateAdapter(const ModelSpec& spec, const AdapterRecipe& recipe) {
  std::set<std::pair<int, std::string_view>> wanted;
  for (const AdapterModule module : recipe.modules) {
    for (const int layer : LayersOf(spec, module, recipe.layers)) {
      wanted.emplace(layer, kAdapterModuleNames[static_cast<size_t>(module)]);
    }
  }
  std::vector<LowRankUpdate> updates;
  for (const TensorInfo& info : Tensors(spec)) {
    if (info.layer < 0 || info.role != TensorRole::kProjection ||
        !wanted.contains({info.layer, ModuleOf(info.name)}))
      continue;
    const uint64_t key = MixBits(recipe.seed ^ HashName(info.name));
    LowRankUpdate update{.name = info.name,
                         .out = info.shape[0],
                         .in = info.shape[1],
                         .rank = recipe.rank,
                         .alpha = recipe.alpha,
                         .a = {},
                         .b = {}};
    update.a = Factor(key, update.rank * update.in, HalfLog(update.in));
    update.b = recipe.zero_b
                   ? std::vector<float>(static_cast<size_t>(update.out * update.rank), 0.0F)
                   : Factor(~key, update.out * update.rank, HalfLog(update.rank));
    updates.push_back(std::move(update));
  }
  return updates;
}

absl::Status WriteAdapter(const std::vector<LowRankUpdate>& updates, const std::string& folder) {
  if (absl::Status status = MakeFolder(folder); !status.ok()) return status;
  std::set<std::string> modules;
  std::vector<Tensor> tensors;
  for (const LowRankUpdate& update : updates) {
    modules.emplace(ModuleOf(update.name));
    tensors.push_back(MakeTensor(PeftName(update.name) + ".lora_A.weight", {update.rank, update.in},
                                 absl::MakeConstSpan(update.a)));
    tensors.push_back(MakeTensor(PeftName(update.name) + ".lora_B.weight",
                                 {update.out, update.rank}, absl::MakeConstSpan(update.b)));
  }
  const json config = {{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", "."},
                       {"r", updates.front().rank},
                       {"lora_alpha", updates.front().alpha},
                       {"lora_dropout", 0.0},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"use_rslora", false},
                       {"use_dora", false},
                       {"inference_mode", true},
                       {"target_modules", modules}};
  absl::Status status =
      WriteFile(absl::StrCat(folder, "/", kWeightsFile), EncodeSafetensors(tensors));
  if (!status.ok()) return status;
  return WriteFile(absl::StrCat(folder, "/", kConfigFile), config.dump());
}

absl::StatusOr<std::vector<LowRankUpdate>> ReadAdapter(const ModelSpec& spec,
                                                       const std::string& folder) {
  const absl::StatusOr<AdapterConfig> config = ReadAdapterConfig(folder);
  if (!config.ok()) return config.status();
  absl::StatusOr<Factors> factors = ReadFactors(folder);
  if (!factors.ok()) return factors.status();
  std::vector<LowRankUpdate> updates;
  for (const TensorInfo& info : Tensors(spec)) {
    if (info.layer < 0 || info.role != TensorRole::kProjection || info.shape.size() != 2) continue;
    const std::string name = PeftName(info.name);
    if (!factors->contains(name + ".lora_A.weight")) continue;
    const std::string path = name.substr(kPeftModel.size());
    if (absl::Status s = config->CheckTarget(path, info.layer); !s.ok()) return s;
    const auto scaling = config->ScalingOf(path);
    if (!scaling.ok()) return scaling.status();
    LowRankUpdate update{.name = info.name,
                         .out = info.shape[0],
                         .in = info.shape[1],
                         .rank = scaling->rank,
                         .alpha = scaling->alpha,
                         .a = {},
                         .b = {}};
    auto a = TakeFactor(*factors, name + ".lora_A.weight", {update.rank, update.in});
    if (!a.ok()) return a.status();
    auto b = TakeFactor(*factors, name + ".lora_B.weight", {update.out, update.rank});
    if (!b.ok()) return b.status();
    update.a = *std::move(a);
    update.b = *std::move(b);
    updates.push_back(std::move(update));
  }
  if (!factors->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(factors->begin()->first, " belongs to no projection of the model"));
  }
  if (updates.empty()) return absl::InvalidArgumentError("the adapter has no tensors");
  return updates;
}

}  // namespace crosscheck
