#include "reference/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr int64_t kMostRank = 1 << 20;

// Options whose every value but null, false and emptiness changes the formula.
constexpr const char* kRefused[] = {"use_dora",
                                    "use_qalora",
                                    "lora_bias",
                                    "layer_replication",
                                    "target_parameters",
                                    "trainable_token_indices",
                                    "alora_invocation_tokens",
                                    "modules_to_save"};

bool IsNeutral(const json& value) {
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

absl::Status CheckFormula(const json& config) {
  if (config.value("peft_type", json()) != "LORA") {
    return absl::InvalidArgumentError("peft_type is not \"LORA\"");
  }
  for (const char* name : kRefused) {
    if (config.contains(name) && !IsNeutral(config[name])) {
      return absl::UnimplementedError(absl::StrCat(name, " is not supported"));
    }
  }
  if (config.value("bias", json("none")) != "none") {
    return absl::UnimplementedError("bias other than \"none\" is not supported");
  }
  return absl::OkStatus();
}

// Patterns are regular expressions; a dot in a name fits itself, so plain names need none.
bool IsName(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.';
  });
}

absl::Status ReadPattern(const json& config, const char* name,
                         std::map<std::string, double>& pattern) {
  const json values = config.value(name, json());
  if (IsNeutral(values)) return absl::OkStatus();
  if (!values.is_object()) return absl::InvalidArgumentError(absl::StrCat(name, " is no object"));
  for (const auto& [key, value] : values.items()) {
    if (!IsName(key.starts_with("^") ? std::string_view(key).substr(1) : key)) {
      return absl::UnimplementedError(
          absl::StrCat(name, ": \"", key, "\" is more than the name of a module"));
    }
    if (!value.is_number()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": \"", key, "\" is no number"));
    }
    pattern[key] = value.get<double>();
  }
  return absl::OkStatus();
}

bool Fits(std::string_view key, std::string_view path) {
  if (key.starts_with("^")) return key.substr(1) == path;
  return path == key || path.ends_with("." + std::string(key));
}

absl::StatusOr<double> Choose(const std::map<std::string, double>& pattern, std::string_view path,
                              double otherwise) {
  std::optional<double> chosen;
  for (const auto& [key, value] : pattern) {
    if (!Fits(key, path)) continue;
    if (chosen.has_value() && *chosen != value) {
      return absl::InvalidArgumentError(
          absl::StrCat("two patterns of the adapter fit ", std::string(path), " and differ"));
    }
    chosen = value;
  }
  return chosen.value_or(otherwise);
}

absl::Status ReadTargets(const json& config, AdapterConfig& adapter) {
  const json modules = config.value("target_modules", json());
  if (modules.is_array()) {
    adapter.modules.emplace();
    for (const json& name : modules) {
      if (!name.is_string()) return absl::InvalidArgumentError("target_modules holds no names");
      adapter.modules->insert(name.get<std::string>());
    }
  }
  json layers = config.value("layers_to_transform", json());
  if (layers.is_number_integer()) layers = json::array({layers});
  if (IsNeutral(layers)) return absl::OkStatus();
  const auto is_index = [](const json& layer) { return layer.is_number_unsigned(); };
  if (!layers.is_array() || !std::all_of(layers.begin(), layers.end(), is_index)) {
    return absl::InvalidArgumentError("layers_to_transform holds no numbers of layers");
  }
  adapter.layers = layers.get<std::set<int>>();
  return absl::OkStatus();
}

absl::StatusOr<AdapterConfig> Parse(const json& config) {
  if (absl::Status status = CheckFormula(config); !status.ok()) return status;
  const json rank = config.value("r", json()), alpha = config.value("lora_alpha", json());
  if (!rank.is_number_integer() || rank < 1 || rank > kMostRank) {
    return absl::InvalidArgumentError("r is not an integer from 1 to 2^20");
  }
  if (!alpha.is_number() || !std::isfinite(alpha.get<double>())) {
    return absl::InvalidArgumentError("lora_alpha is no finite number");
  }
  AdapterConfig adapter{.rank = rank.get<int>(),
                        .alpha = alpha.get<double>(),
                        .rank_stabilised = config.value("use_rslora", json()) == true,
                        .rank_pattern = {},
                        .alpha_pattern = {},
                        .modules = {},
                        .layers = {}};
  absl::Status status = ReadPattern(config, "rank_pattern", adapter.rank_pattern);
  if (status.ok()) status = ReadPattern(config, "alpha_pattern", adapter.alpha_pattern);
  if (status.ok()) status = ReadTargets(config, adapter);
  if (!status.ok()) return status;
  return adapter;
}

}  // namespace

absl::StatusOr<AdapterConfig::Scaling> AdapterConfig::ScalingOf(std::string_view path) const {
  const auto chosen_rank = Choose(rank_pattern, path, rank);
  if (!chosen_rank.ok()) return chosen_rank.status();
  const auto chosen_alpha = Choose(alpha_pattern, path, alpha);
  if (!chosen_alpha.ok()) return chosen_alpha.status();
  if (*chosen_rank < 1 || *chosen_rank > kMostRank || *chosen_rank != std::floor(*chosen_rank)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank_pattern gives ", std::string(path), " the rank ", *chosen_rank));
  }
  return Scaling{static_cast<int>(*chosen_rank),
                 rank_stabilised ? *chosen_alpha * std::sqrt(*chosen_rank) : *chosen_alpha};
}

absl::Status AdapterConfig::CheckTarget(std::string_view path, int layer) const {
  if (layers.has_value() && !layers->contains(layer)) {
    return absl::InvalidArgumentError(absl::StrCat(
        std::string(path), " has factors, and layers_to_transform does not name layer ", layer));
  }
  const auto fits = [&](const std::string& name) { return Fits(name, path); };
  if (modules.has_value() && std::none_of(modules->begin(), modules->end(), fits)) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(path), " has factors, and target_modules does not name it"));
  }
  return absl::OkStatus();
}

absl::StatusOr<AdapterConfig> ReadAdapterConfig(const std::string& folder) {
  const auto text = ReadFile(folder + "/adapter_config.json");
  if (!text.ok()) return text.status();
  const auto config = ParseJson(*text);
  if (!config.ok()) return config.status();
  if (!config->is_object()) return absl::InvalidArgumentError("adapter_config.json is no object");
  std::error_code error;
  if (!std::filesystem::exists(folder + "/adapter_model.safetensors", error) &&
      std::filesystem::exists(folder + "/adapter_model.bin", error)) {
    return absl::UnimplementedError(absl::StrCat(
        folder,
        "/adapter_model.bin is a pickle, which is not read: save the adapter again with "
        "safe_serialization=True"));
  }
  return Parse(*config);
}

}  // namespace crosscheck
