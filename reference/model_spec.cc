#include "reference/model_spec.h"

#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr int kMaxLayers = 4096;
constexpr int kMaxPositions = 1 << 22;

absl::Status OutOfRange(std::string_view field, double value, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat("model spec: ", std::string(field), " is ", value,
                                                 "; expected ", std::string(expected)));
}

struct IntegerRange {
  std::string_view field;
  int64_t value;
  int64_t low;
  int64_t high;
};

absl::Status CheckRanges(const ModelSpec& spec) {
  const bool mixture = TraitsOf(spec.family).mixture;
  const IntegerRange ranges[] = {
      {"layers", static_cast<int64_t>(spec.layers.size()), 1, kMaxLayers},
      {"vocab", spec.vocab, 1, 1 << 22},
      {"hidden", spec.hidden, 1, 1 << 20},
      {"intermediate", spec.intermediate, 1, 1 << 24},
      {"heads", spec.heads, 1, 4096},
      {"kv_heads", spec.kv_heads, 1, 4096},
      {"head_dim", spec.head_dim, 2, 2048},
      {"rotary_dim", spec.rotary_dim, 2, spec.head_dim},
      {"linear_key_heads", spec.linear_key_heads, 1, 4096},
      {"linear_value_heads", spec.linear_value_heads, 1, 4096},
      {"linear_key_dim", spec.linear_key_dim, 1, 2048},
      {"linear_value_dim", spec.linear_value_dim, 1, 2048},
      {"conv_kernel", spec.conv_kernel, 1, 1024},
      {"max_positions", spec.max_positions, 1, kMaxPositions},
      {"eos", spec.eos, -1, int64_t{spec.vocab} - 1},
      {"experts", spec.experts, mixture ? 1 : 0, mixture ? 4096 : 0},
      {"experts_per_token", spec.experts_per_token, mixture ? 1 : 0, spec.experts},
      {"shared_intermediate", spec.shared_intermediate, mixture ? 1 : 0, mixture ? 1 << 24 : 0},
  };
  for (const IntegerRange& range : ranges) {
    if (range.value < range.low || range.value > range.high) {
      return OutOfRange(range.field, static_cast<double>(range.value),
                        absl::StrCat(range.low, "..", range.high));
    }
  }
  return absl::OkStatus();
}

// Appends tensors of one layer under its prefix.
class LayerTensors {
 public:
  LayerTensors(std::string_view prefix, int layer, std::vector<TensorInfo>* out)
      : layer_(layer),
        prefix_(absl::StrCat(std::string(prefix), "layers.", layer, ".")),
        out_(out) {}
  void Add(std::string_view name, std::vector<int64_t> shape, TensorRole role) {
    std::string full;
    full.reserve(prefix_.size() + name.size());
    full.append(prefix_).append(name);
    out_->push_back({std::move(full), std::move(shape), role, layer_});
  }

 private:
  int layer_;
  std::string prefix_;
  std::vector<TensorInfo>* out_;
};

void AddFullAttention(const ModelSpec& spec, LayerTensors* layer) {
  const int64_t hidden = spec.hidden;
  const int64_t query_rows = int64_t{spec.heads} * spec.head_dim;
  const int64_t key_rows = int64_t{spec.kv_heads} * spec.head_dim;
  const bool gated = TraitsOf(spec.family).gated_attention;
  // A gated q_proj holds, per head, the query and then its output gate.
  layer->Add("self_attn.q_proj.weight", {(gated ? 2 : 1) * query_rows, hidden},
             TensorRole::kProjection);
  layer->Add("self_attn.k_proj.weight", {key_rows, hidden}, TensorRole::kProjection);
  layer->Add("self_attn.v_proj.weight", {key_rows, hidden}, TensorRole::kProjection);
  layer->Add("self_attn.o_proj.weight", {hidden, query_rows}, TensorRole::kProjection);
  if (!gated) return;
  layer->Add("self_attn.q_norm.weight", {spec.head_dim}, TensorRole::kNorm);
  layer->Add("self_attn.k_norm.weight", {spec.head_dim}, TensorRole::kNorm);
}

void AddLinearAttention(const ModelSpec& spec, LayerTensors* layer) {
  const int64_t hidden = spec.hidden;
  const int64_t value_heads = spec.linear_value_heads;
  const int64_t value_rows = value_heads * spec.linear_value_dim;
  layer->Add("linear_attn.in_proj_qkv.weight", {spec.conv_channels(), hidden},
             TensorRole::kProjection);
  layer->Add("linear_attn.in_proj_z.weight", {value_rows, hidden}, TensorRole::kProjection);
  layer->Add("linear_attn.in_proj_b.weight", {value_heads, hidden}, TensorRole::kProjection);
  layer->Add("linear_attn.in_proj_a.weight", {value_heads, hidden}, TensorRole::kProjection);
  layer->Add("linear_attn.conv1d.weight", {spec.conv_channels(), 1, spec.conv_kernel},
             TensorRole::kConv);
  layer->Add("linear_attn.A_log", {value_heads}, TensorRole::kALog);
  layer->Add("linear_attn.dt_bias", {value_heads}, TensorRole::kDtBias);
  layer->Add("linear_attn.norm.weight", {spec.linear_value_dim}, TensorRole::kGatedNorm);
  layer->Add("linear_attn.out_proj.weight", {hidden, value_rows}, TensorRole::kProjection);
}

void AddMlp(int64_t hidden, int64_t intermediate, std::string_view prefix, LayerTensors* layer) {
  const std::string name(prefix);
  layer->Add(name + "gate_proj.weight", {intermediate, hidden}, TensorRole::kProjection);
  layer->Add(name + "up_proj.weight", {intermediate, hidden}, TensorRole::kProjection);
  layer->Add(name + "down_proj.weight", {hidden, intermediate}, TensorRole::kProjection);
}

void AddMixture(const ModelSpec& spec, LayerTensors* layer) {
  const int64_t hidden = spec.hidden;
  const int64_t experts = spec.experts;
  layer->Add("mlp.gate.weight", {experts, hidden}, TensorRole::kRouter);
  // Per expert, the rows of the gate and then those of the up projection.
  layer->Add("mlp.experts.gate_up_proj", {experts, 2 * int64_t{spec.intermediate}, hidden},
             TensorRole::kProjection);
  layer->Add("mlp.experts.down_proj", {experts, hidden, spec.intermediate},
             TensorRole::kProjection);
  AddMlp(hidden, spec.shared_intermediate, "mlp.shared_expert.", layer);
  layer->Add("mlp.shared_expert_gate.weight", {1, hidden}, TensorRole::kProjection);
}

}  // namespace

const FamilyTraits& TraitsOf(Family family) {
  static constexpr FamilyTraits kTraits[] = {
      {true, true, true, false, "model.language_model."},  // qwen3_5
      {false, false, false, false, "model."},              // llama
      {true, true, true, true, "model.language_model."},   // qwen3_5_moe
  };
  static_assert(std::size(kTraits) == std::size(kFamilyNames));
  return kTraits[static_cast<size_t>(family)];
}

absl::Status Validate(const ModelSpec& spec) {
  if (absl::Status status = CheckRanges(spec); !status.ok()) return status;
  if (spec.heads % spec.kv_heads != 0) {
    return OutOfRange("kv_heads", spec.kv_heads,
                      absl::StrCat("a divisor of heads (", spec.heads, ")"));
  }
  if (spec.rotary_dim % 2 != 0) return OutOfRange("rotary_dim", spec.rotary_dim, "an even number");
  if (spec.linear_value_heads % spec.linear_key_heads != 0) {
    return OutOfRange("linear_value_heads", spec.linear_value_heads,
                      absl::StrCat("a multiple of linear_key_heads (", spec.linear_key_heads, ")"));
  }
  const FamilyTraits& traits = TraitsOf(spec.family);
  if (!traits.partial_rotary && spec.rotary_dim != spec.head_dim) {
    return OutOfRange("rotary_dim", spec.rotary_dim, absl::StrCat("head_dim, ", spec.head_dim));
  }
  if (!traits.linear_attention) {
    for (const LayerKind kind : spec.layers) {
      if (kind == LayerKind::kFullAttention) continue;
      return absl::InvalidArgumentError(
          "model spec: this family has no linear attention, and a layer asks for it");
    }
  }
  // The comparisons are written so that NaN fails them.
  if (!(spec.rms_eps > 0 && spec.rms_eps < 1)) {
    return OutOfRange("rms_eps", spec.rms_eps, "more than 0 and less than 1");
  }
  if (!(spec.rope_theta > 0 && spec.rope_theta <= std::numeric_limits<float>::max())) {
    return OutOfRange("rope_theta", spec.rope_theta, "more than 0 and finite in float32");
  }
  return absl::OkStatus();
}

std::vector<TensorInfo> Tensors(const ModelSpec& spec) {
  const FamilyTraits& traits = TraitsOf(spec.family);
  const std::string prefix(traits.prefix);
  const TensorRole norm = traits.gated_attention ? TensorRole::kNorm : TensorRole::kPlainNorm;
  std::vector<TensorInfo> tensors;
  tensors.reserve(3 + 17 * spec.layers.size());
  const int64_t hidden = spec.hidden;
  tensors.push_back(
      {prefix + "embed_tokens.weight", {spec.vocab, hidden}, TensorRole::kEmbedding, -1});
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    LayerTensors layer(prefix, static_cast<int>(i), &tensors);
    layer.Add("input_layernorm.weight", {hidden}, norm);
    if (spec.layers[i] == LayerKind::kFullAttention) {
      AddFullAttention(spec, &layer);
    } else {
      AddLinearAttention(spec, &layer);
    }
    layer.Add("post_attention_layernorm.weight", {hidden}, norm);
    if (traits.mixture) {
      AddMixture(spec, &layer);
    } else {
      AddMlp(hidden, spec.intermediate, "mlp.", &layer);
    }
  }
  tensors.push_back({prefix + "norm.weight", {hidden}, norm, -1});
  if (!spec.tied) {
    tensors.push_back({"lm_head.weight", {spec.vocab, hidden}, TensorRole::kHead, -1});
  }
  return tensors;
}

}  // namespace crosscheck
