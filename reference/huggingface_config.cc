// Hugging Face config.json of Qwen3.5: defaults, aliases and precedence of architectures.md 3.1,
// written as lattice.md 3.3 and Transformers both read it.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/model_spec.h"

namespace crosscheck {
namespace {

using nlohmann::json;

constexpr double kDefaultRopeTheta = 10000.0;
constexpr double kDefaultRotaryFactor = 0.25;

std::string Show(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return absl::StrCat(text, " (", value.type_name(), ")");
}

absl::Status WrongValue(std::string_view key, const json& found, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", std::string(key), " holds ",
                                                 Show(found), "; expected ",
                                                 std::string(expected)));
}

bool FitsInt(const json& value) {
  constexpr int64_t kMax = std::numeric_limits<int>::max();
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= uint64_t{kMax};
  return value.is_number_integer() && value.get<int64_t>() >= -kMax && value.get<int64_t>() <= kMax;
}

// Reads keys of one JSON object with defaults; remembers the first error so that callers read
// straight through.
class KeyReader {
 public:
  KeyReader(const json& object, std::string path) : object_(object), path_(std::move(path)) {}

  int Integer(const char* key, int fallback) {
    const json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!FitsInt(*value)) return Fail(key, *value, "an integer", fallback);
    return value->get<int>();
  }
  double Number(const char* key, double fallback) {
    const json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) return Fail(key, *value, "a number", fallback);
    return value->get<double>();
  }
  bool Boolean(const char* key, bool fallback) {
    const json* value = Find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) return Fail(key, *value, "true or false", fallback);
    return value->get<bool>();
  }
  // Null counts as absent.
  const json* Optional(const char* key) const {
    const json* value = Find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  const json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void Require(const char* key, bool ok, std::string_view expected) {
    const json* value = Optional(key);
    if (value != nullptr && !ok) Fail(key, *value, expected, 0);
  }
  template <class T>
  T Fail(const char* key, const json& found, std::string_view expected, T fallback) {
    if (status_.ok()) status_ = WrongValue(path_ + key, found, expected);
    return fallback;
  }
  void Adopt(const absl::Status& status) {
    if (status_.ok()) status_ = status;
  }
  const std::string& path() const { return path_; }
  const absl::Status& status() const { return status_; }

 private:
  const json& object_;
  std::string path_;
  absl::Status status_;
};

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

void ReadRope(KeyReader* text, ModelSpec* spec) {
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
    KeyReader rope(*nested, absl::StrCat(text->path(), name, "."));
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
  const double rotary = spec->head_dim * factor;
  if (!(rotary >= 2 && rotary < spec->head_dim + 1.0)) {
    text->Fail("partial_rotary_factor", factor,
               absl::StrCat("a factor that keeps 2..", spec->head_dim, " of head_dim"), 0);
    return;
  }
  spec->rope_theta = theta;
  spec->rotary_dim = static_cast<int>(rotary);
}

void ReadLayers(KeyReader* text, ModelSpec* spec) {
  const int count = text->Integer("num_hidden_layers", 32);
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

int ReadEos(KeyReader* text) {
  const json* value = text->Optional("eos_token_id");
  if (value == nullptr) return -1;
  const json* first = value->is_array() && !value->empty() ? &value->front() : value;
  if (!FitsInt(*first) || first->get<int>() < 0) {
    return text->Fail("eos_token_id", *value, "a token id, a list of token ids, or null", -1);
  }
  return first->get<int>();
}

// What would change the computation and is not implemented.
void RefuseUnsupported(KeyReader* text) {
  const json* activation = text->Optional("hidden_act");
  if (activation != nullptr) text->Require("hidden_act", *activation == "silu", "\"silu\"");
  text->Require("attention_bias", !text->Boolean("attention_bias", false),
                "false (biases are not supported)");
  const json* experts = text->Optional("num_experts");
  if (experts != nullptr) {
    text->Require("num_experts", *experts == 0, "null (mixture of experts is not supported)");
  }
  text->Require("quantization_config", false, "no quantisation (not supported)");
}

absl::Status CheckFamily(const json& config, std::string_view key) {
  const auto found = config.find("model_type");
  if (found != config.end() && (*found == "qwen3_5" || *found == "qwen3_5_text")) {
    return absl::OkStatus();
  }
  if (found == config.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.json: ", std::string(key), " is missing; supported: qwen3_5 (qwen3_5_text)"));
  }
  return absl::UnimplementedError(
      absl::StrCat("config.json: ", std::string(key), " ", Show(*found),
                   " is not supported; supported: qwen3_5 (qwen3_5_text)"));
}

absl::StatusOr<ModelSpec> ReadTextConfig(KeyReader text, std::optional<bool> tied) {
  ModelSpec spec;
  spec.vocab = text.Integer("vocab_size", 248320);
  spec.hidden = text.Integer("hidden_size", 4096);
  spec.intermediate = text.Integer("intermediate_size", 12288);
  spec.heads = text.Integer("num_attention_heads", 16);
  spec.kv_heads = text.Integer("num_key_value_heads", 4);
  spec.head_dim = text.Integer("head_dim", 256);
  spec.linear_key_heads = text.Integer("linear_num_key_heads", 16);
  spec.linear_value_heads = text.Integer("linear_num_value_heads", 32);
  spec.linear_key_dim = text.Integer("linear_key_head_dim", 128);
  spec.linear_value_dim = text.Integer("linear_value_head_dim", 128);
  spec.conv_kernel = text.Integer("linear_conv_kernel_dim", 4);
  spec.rms_eps = text.Number("rms_norm_eps", 1e-6);
  spec.max_positions = text.Integer("max_position_embeddings", 32768);
  spec.tied = tied.value_or(text.Boolean("tie_word_embeddings", false));
  spec.eos = ReadEos(&text);
  ReadLayers(&text, &spec);
  ReadRope(&text, &spec);
  RefuseUnsupported(&text);
  if (!text.status().ok()) return text.status();
  if (absl::Status status = Validate(spec); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config.json: ", std::string(status.message())));
  }
  return spec;
}

}  // namespace

json ToHuggingFaceConfig(const ModelSpec& spec, std::string_view dtype) {
  const double factor = RotaryFactor(spec.rotary_dim, spec.head_dim);
  json layer_types = json::array();
  for (const LayerKind kind : spec.layers) {
    layer_types.push_back(kind == LayerKind::kFullAttention ? "full_attention"
                                                            : "linear_attention");
  }
  json text = {
      {"model_type", "qwen3_5_text"},
      {"vocab_size", spec.vocab},
      {"hidden_size", spec.hidden},
      {"intermediate_size", spec.intermediate},
      {"num_hidden_layers", spec.layers.size()},
      {"layer_types", std::move(layer_types)},
      {"num_attention_heads", spec.heads},
      {"num_key_value_heads", spec.kv_heads},
      {"head_dim", spec.head_dim},
      {"hidden_act", "silu"},
      {"rms_norm_eps", spec.rms_eps},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"attn_output_gate", true},
      {"rope_theta", spec.rope_theta},
      {"partial_rotary_factor", factor},
      {"rope_parameters",
       {{"rope_type", "default"},
        {"rope_theta", spec.rope_theta},
        {"partial_rotary_factor", factor}}},
      {"linear_num_key_heads", spec.linear_key_heads},
      {"linear_num_value_heads", spec.linear_value_heads},
      {"linear_key_head_dim", spec.linear_key_dim},
      {"linear_value_head_dim", spec.linear_value_dim},
      {"linear_conv_kernel_dim", spec.conv_kernel},
      {"max_position_embeddings", spec.max_positions},
      {"tie_word_embeddings", spec.tied},
      {"initializer_range", 0.02},
      {"bos_token_id", nullptr},
      {"eos_token_id", spec.eos < 0 ? json(nullptr) : json(spec.eos)},
      {"pad_token_id", nullptr},
      {"num_experts", nullptr},
      {"num_experts_per_tok", nullptr},
      {"moe_intermediate_size", nullptr},
      {"shared_expert_intermediate_size", nullptr},
  };
  return {{"architectures", {"Qwen3_5ForConditionalGeneration"}},
          {"model_type", "qwen3_5"},
          {"dtype", dtype},
          {"tie_word_embeddings", spec.tied},
          {"text_config", std::move(text)}};
}

absl::StatusOr<ModelSpec> FromHuggingFaceConfig(const json& config) {
  if (!config.is_object()) return WrongValue("the file", config, "an object");
  if (absl::Status status = CheckFamily(config, "model_type"); !status.ok()) return status;
  KeyReader top(config, "");
  const json* text = top.Optional("text_config");
  if (text == nullptr) return ReadTextConfig(top, std::nullopt);
  if (!text->is_object()) return WrongValue("text_config", *text, "an object");
  if (text->contains("model_type")) {
    if (absl::Status status = CheckFamily(*text, "text_config.model_type"); !status.ok()) {
      return status;
    }
  }
  std::optional<bool> tied;
  if (top.Optional("tie_word_embeddings") != nullptr) {
    tied = top.Boolean("tie_word_embeddings", false);
  }
  top.Require("quantization_config", false, "no quantisation (not supported)");
  if (!top.status().ok()) return top.status();
  return ReadTextConfig(KeyReader(*text, "text_config."), tied);
}

}  // namespace crosscheck
