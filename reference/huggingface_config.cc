// Hugging Face config.json of every family: defaults, aliases and precedence of
// architectures.md 3.1 and 4, written as lattice.md 3.3 and Transformers both read it.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/config_reader.h"
#include "reference/model_spec.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr double kDefaultRopeTheta = 10000.0;
constexpr double kDefaultRotaryFactor = 0.25;

// The factor that an engine multiplies with head_dim and truncates. The plain quotient is what
// released files hold; where it would truncate one too low (in float64 or float32), a quarter is
// added to the numerator.
double RotaryFactor(int rotary_dim, int head_dim) {
  const double quotient = static_cast<double>(rotary_dim) / head_dim;
  const bool exact =
      static_cast<int>(head_dim * quotient) == rotary_dim &&
      static_cast<int>(static_cast<float>(head_dim) * static_cast<float>(quotient)) == rotary_dim;
  return exact ? quotient : (rotary_dim + 0.25) / head_dim;
}

// The values of the nested object win over the flat keys.
void ReadRope(ConfigReader* text, ModelSpec* spec) {
  const bool partial = TraitsOf(spec->family).partial_rotary;
  double theta = text->Number("rope_theta", kDefaultRopeTheta);
  double factor = text->Number("partial_rotary_factor", kDefaultRotaryFactor);
  // rope_scaling is the older name of the same object and wins, as in Transformers.
  const char* name = text->Optional("rope_scaling") != nullptr ? "rope_scaling" : "rope_parameters";
  const json* nested = text->Optional(name);
  if (nested != nullptr && !nested->is_object()) {
    text->Fail(name, *nested, "an object or null", 0);
    return;
  }
  if (nested != nullptr) {
    ConfigReader rope(*nested, absl::StrCat(text->path(), name, "."));
    theta = rope.Number("rope_theta", theta);
    factor = rope.Number("partial_rotary_factor", factor);
    for (const char* type : {"rope_type", "type"}) {
      const json* value = rope.Optional(type);
      if (value != nullptr && *value != "default") {
        rope.Fail(type, *value, "\"default\" (no other RoPE type is supported)", 0);
      }
    }
    text->Adopt(rope.status());
  }
  if (!partial) factor = 1;  // Transformers reads no factor for these families
  const double rotary = spec->head_dim * factor;
  if (!(rotary >= 2 && rotary < spec->head_dim + 1.0)) {
    text->Fail("partial_rotary_factor", factor,
               absl::StrCat("a factor that keeps 2..", spec->head_dim, " of head_dim"), 0);
    return;
  }
  spec->rope_theta = theta;
  spec->rotary_dim = static_cast<int>(rotary);
}

void ReadLayers(ConfigReader* text, ModelSpec* spec) {
  const int count =
      text->Integer("num_hidden_layers", spec->family == Family::kQwen35Moe ? 40 : 32);
  const json* types = text->Optional("layer_types");
  if (types == nullptr) {
    const int interval = text->Integer("full_attention_interval", 4);
    if (count < 1 || count > 4096) {
      text->Fail("num_hidden_layers", count, "1..4096", 0);
      return;
    }
    if (interval < 1) {
      text->Fail("full_attention_interval", interval, "at least 1", 0);
      return;
    }
    for (int i = 0; i < count; ++i) {
      spec->layers.push_back((i + 1) % interval == 0 ? LayerKind::kFullAttention
                                                     : LayerKind::kLinearAttention);
    }
    return;
  }
  if (!types->is_array() || types->size() != static_cast<size_t>(std::max(count, 0))) {
    text->Fail("layer_types", *types,
               absl::StrCat("a list of num_hidden_layers (", count, ") names"), 0);
    return;
  }
  for (const json& type : *types) {
    if (type == "full_attention") {
      spec->layers.push_back(LayerKind::kFullAttention);
    } else if (type == "linear_attention") {
      spec->layers.push_back(LayerKind::kLinearAttention);
    } else {
      text->Fail("layer_types", type, "\"full_attention\" or \"linear_attention\"", 0);
      return;
    }
  }
}

// `absent`: the id of a file without the key; -1 is none.
int ReadEos(ConfigReader* text, int absent) {
  if (text->Find("eos_token_id") == nullptr) return absent;
  const json* value = text->Optional("eos_token_id");
  if (value == nullptr) return -1;
  const json* first = value->is_array() && !value->empty() ? &value->front() : value;
  if (!FitsInt(*first) || first->get<int>() < 0) {
    return text->Fail("eos_token_id", *value, "a token id, a list of token ids, or null", -1);
  }
  return first->get<int>();
}

// What would change the computation and is not implemented.
void RefuseUnsupported(ConfigReader* text, Family family) {
  const json* activation = text->Optional("hidden_act");
  if (activation != nullptr) text->Require("hidden_act", *activation == "silu", "\"silu\"");
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    text->Require(bias, !text->Boolean(bias, false), "false (biases are not supported)");
  }
  const json* experts = text->Optional("num_experts");
  if (experts != nullptr && !TraitsOf(family).mixture) {
    text->Require("num_experts", *experts == 0,
                  "null (a mixture of experts is model_type qwen3_5_moe)");
  }
  text->Require("quantization_config", false, "no quantisation (not supported)");
}

// A model_type of config.json; the text-only classes have names of their own.
struct ModelType {
  std::string_view name;
  Family family;
};
constexpr ModelType kModelTypes[] = {
    {"qwen3_5", Family::kQwen35},
    {"qwen3_5_text", Family::kQwen35},
    {"llama", Family::kLlama},
    {"qwen3_5_moe", Family::kQwen35Moe},
    {"qwen3_5_moe_text", Family::kQwen35Moe},
};

absl::StatusOr<Family> ReadFamily(const json& config, std::string_view key) {
  std::string supported;
  for (const ModelType& type : kModelTypes) {
    absl::StrAppend(&supported, supported.empty() ? "" : ", ", std::string(type.name));
  }
  const auto found = config.find("model_type");
  if (found == config.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: ", std::string(key), " is missing; supported: ", supported));
  }
  for (const ModelType& type : kModelTypes) {
    if (*found == type.name) return type.family;
  }
  return absl::UnimplementedError(absl::StrCat("config.json: ", std::string(key), " ",
                                               ShowJson(*found),
                                               " is not supported; supported: ", supported));
}

// Qwen3.5 and its mixture differ in some class defaults.
void ReadQwen35(ConfigReader* text, ModelSpec* spec) {
  const bool mixture = spec->family == Family::kQwen35Moe;
  spec->vocab = text->Integer("vocab_size", 248320);
  spec->hidden = text->Integer("hidden_size", mixture ? 2048 : 4096);
  spec->heads = text->Integer("num_attention_heads", 16);
  spec->kv_heads = text->Integer("num_key_value_heads", mixture ? 2 : 4);
  spec->head_dim = text->Integer("head_dim", 256);
  spec->linear_key_heads = text->Integer("linear_num_key_heads", 16);
  spec->linear_value_heads = text->Integer("linear_num_value_heads", 32);
  spec->linear_key_dim = text->Integer("linear_key_head_dim", 128);
  spec->linear_value_dim = text->Integer("linear_value_head_dim", 128);
  spec->conv_kernel = text->Integer("linear_conv_kernel_dim", 4);
  spec->max_positions = text->Integer("max_position_embeddings", 32768);
  spec->eos = ReadEos(text, -1);
  if (mixture) {
    spec->intermediate = text->Integer("moe_intermediate_size", 512);
    spec->shared_intermediate = text->Integer("shared_expert_intermediate_size", 512);
    spec->experts = text->Integer("num_experts", 256);
    spec->experts_per_token = text->Integer("num_experts_per_tok", 8);
  } else {
    spec->intermediate = text->Integer("intermediate_size", 12288);
  }
  ReadLayers(text, spec);
}

// An integer of which null and absence mean a value that follows from others.
int DerivedInteger(ConfigReader* text, const char* key, int derived) {
  return text->Optional(key) == nullptr ? derived : text->Integer(key, derived);
}

void ReadLlama(ConfigReader* text, ModelSpec* spec) {
  spec->vocab = text->Integer("vocab_size", 32000);
  spec->hidden = text->Integer("hidden_size", 4096);
  spec->intermediate = text->Integer("intermediate_size", 11008);
  spec->heads = text->Integer("num_attention_heads", 32);
  spec->kv_heads = DerivedInteger(text, "num_key_value_heads", spec->heads);
  spec->head_dim = DerivedInteger(text, "head_dim", spec->hidden / std::max(spec->heads, 1));
  spec->max_positions = text->Integer("max_position_embeddings", 2048);
  spec->eos = ReadEos(text, 2);
  const int count = text->Integer("num_hidden_layers", 32);
  if (count < 1 || count > 4096) {
    text->Fail("num_hidden_layers", count, "1..4096", 0);
    return;
  }
  spec->layers.assign(static_cast<size_t>(count), LayerKind::kFullAttention);
  spec->linear_key_dim = spec->linear_value_dim = 1;  // no linear attention: the least legal values
  spec->conv_kernel = 1;
}

absl::StatusOr<ModelSpec> ReadTextConfig(Family family, ConfigReader text,
                                         std::optional<bool> tied) {
  ModelSpec spec;
  spec.family = family;
  if (family == Family::kLlama) {
    ReadLlama(&text, &spec);
  } else {
    ReadQwen35(&text, &spec);
  }
  spec.rms_eps = text.Number("rms_norm_eps", 1e-6);
  spec.tied = tied.value_or(text.Boolean("tie_word_embeddings", false));
  ReadRope(&text, &spec);
  RefuseUnsupported(&text, family);
  if (!text.status().ok()) return text.status();
  if (absl::Status status = Validate(spec); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config.json: ", std::string(status.message())));
  }
  return spec;
}

// ---- writing

// What every family has.
json CommonConfig(const ModelSpec& spec) {
  return {{"vocab_size", spec.vocab},
          {"hidden_size", spec.hidden},
          {"intermediate_size", spec.intermediate},
          {"num_hidden_layers", spec.layers.size()},
          {"num_attention_heads", spec.heads},
          {"num_key_value_heads", spec.kv_heads},
          {"head_dim", spec.head_dim},
          {"hidden_act", "silu"},
          {"rms_norm_eps", spec.rms_eps},
          {"attention_bias", false},
          {"attention_dropout", 0.0},
          {"rope_theta", spec.rope_theta},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", spec.rope_theta}}},
          {"max_position_embeddings", spec.max_positions},
          {"tie_word_embeddings", spec.tied},
          {"initializer_range", 0.02},
          {"bos_token_id", nullptr},
          {"eos_token_id", spec.eos < 0 ? json(nullptr) : json(spec.eos)},
          {"pad_token_id", nullptr}};
}

json Qwen35TextConfig(const ModelSpec& spec) {
  const bool mixture = spec.family == Family::kQwen35Moe;
  const double factor = RotaryFactor(spec.rotary_dim, spec.head_dim);
  json layer_types = json::array();
  for (const LayerKind kind : spec.layers) {
    layer_types.push_back(kind == LayerKind::kFullAttention ? "full_attention"
                                                            : "linear_attention");
  }
  json text = CommonConfig(spec);
  text["model_type"] = mixture ? "qwen3_5_moe_text" : "qwen3_5_text";
  text["layer_types"] = std::move(layer_types);
  text["attn_output_gate"] = true;
  text["partial_rotary_factor"] = factor;
  text["rope_parameters"]["partial_rotary_factor"] = factor;
  text["linear_num_key_heads"] = spec.linear_key_heads;
  text["linear_num_value_heads"] = spec.linear_value_heads;
  text["linear_key_head_dim"] = spec.linear_key_dim;
  text["linear_value_head_dim"] = spec.linear_value_dim;
  text["linear_conv_kernel_dim"] = spec.conv_kernel;
  const auto or_null = [mixture](int value) { return mixture ? json(value) : json(nullptr); };
  text["num_experts"] = or_null(spec.experts);
  text["num_experts_per_tok"] = or_null(spec.experts_per_token);
  text["moe_intermediate_size"] = or_null(spec.intermediate);
  text["shared_expert_intermediate_size"] = or_null(spec.shared_intermediate);
  return text;
}

}  // namespace

json ToHuggingFaceConfig(const ModelSpec& spec, std::string_view dtype) {
  if (spec.family == Family::kLlama) {
    json config = CommonConfig(spec);
    config["architectures"] = {"LlamaForCausalLM"};
    config["model_type"] = "llama";
    config["dtype"] = dtype;
    config["mlp_bias"] = false;
    return config;
  }
  const bool mixture = spec.family == Family::kQwen35Moe;
  return {{"architectures",
           {mixture ? "Qwen3_5MoeForConditionalGeneration" : "Qwen3_5ForConditionalGeneration"}},
          {"model_type", mixture ? "qwen3_5_moe" : "qwen3_5"},
          {"dtype", dtype},
          {"tie_word_embeddings", spec.tied},
          {"text_config", Qwen35TextConfig(spec)}};
}

absl::StatusOr<ModelSpec> FromHuggingFaceConfig(const json& config) {
  if (!config.is_object()) return WrongConfigValue("the file", config, "an object");
  absl::StatusOr<Family> family = ReadFamily(config, "model_type");
  if (!family.ok()) return family.status();
  ConfigReader top(config, "");
  const json* text = top.Optional("text_config");
  if (text == nullptr) return ReadTextConfig(*family, top, std::nullopt);
  if (!text->is_object()) return WrongConfigValue("text_config", *text, "an object");
  if (text->contains("model_type")) {
    absl::StatusOr<Family> inner = ReadFamily(*text, "text_config.model_type");
    if (!inner.ok()) return inner.status();
    if (*inner != *family) {
      return WrongConfigValue("text_config.model_type", (*text)["model_type"],
                              "the family of model_type");
    }
  }
  std::optional<bool> tied;
  if (top.Optional("tie_word_embeddings") != nullptr) {
    tied = top.Boolean("tie_word_embeddings", false);
  }
  top.Require("quantization_config", false, "no quantisation (not supported)");
  if (!top.status().ok()) return top.status();
  return ReadTextConfig(*family, ConfigReader(*text, "text_config."), tied);
}

}  // namespace crosscheck
