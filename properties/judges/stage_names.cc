#include "properties/judges/stage_names.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_split.h"

namespace crosscheck {
namespace {

// The table of stages: the tap after it, and its name. `inputs`: taps of which one must be there
// for the name to be right; where the engine has none of them, the stage reaches further back and
// has the name `coarse`.
struct Stage {
  std::string_view tap, name, inputs, coarse;
};
constexpr Stage kStages[] = {
    {"embedding", "embedding", "", ""},
    {"mixer_in", "input norm", "", ""},
    {"attn.q_proj_out", "q_proj", "", ""},
    {"attn.k_proj_out", "k_proj", "", ""},
    {"attn.v", "v_proj", "", ""},
    {"attn.q_normed", "q norm", "", ""},
    {"attn.k_normed", "k norm", "", ""},
    {"attn.q_roped", "rope", "", ""},
    {"attn.k_roped", "rope", "", ""},
    {"attn.context", "scores and softmax", "attn.q_roped", "attention core"},
    {"attn.gated", "gate", "attn.context", "attention core"},
    {"gdn.u", "in_proj_qkv", "", ""},
    {"gdn.z", "in_proj_z", "", ""},
    {"gdn.b", "in_proj_b", "", ""},
    {"gdn.a", "in_proj_a", "", ""},
    {"gdn.conv_silu", "conv", "", ""},
    {"gdn.g", "decay", "", ""},
    {"gdn.beta", "beta", "", ""},
    {"gdn.o", "delta rule", "gdn.conv_silu", "delta rule core"},
    {"gdn.normed", "gated norm", "gdn.o", "delta rule core"},
    {"mixer_out", "out_proj", "attn.gated,attn.context,gdn.normed", "mixer"},
    {"mlp_in", "post-attention norm", "mixer_out", "mixer or post-attention norm"},
    {"mlp.gate", "gate_proj", "", ""},
    {"mlp.up", "up_proj", "", ""},
    {"mlp.activated", "activation", "mlp.gate", "MLP up to its activation"},
    {kRouter, "router", "", ""},
    {kSelected, "choice of experts", kRouter, "router"},
    {"moe.router_weights", "router weights", kRouter, "router"},
    {"moe.expert_out", "experts", "", ""},
    {"moe.routed_out", "weighted sum of experts", "moe.expert_out", "experts"},
    {"moe.shared_gate_logit", "gate of the shared expert", "", ""},
    {"moe.shared_out_ungated", "shared expert", "", ""},
    {"mlp_out", "down_proj", "mlp.activated", "MLP"},
    {"layer_out", "residual", "mlp_out", "MLP or residual"},
    {kFinalNorm, "final norm", "", ""},
    {kLogits, "lm_head", kFinalNorm, "final norm or lm_head"},
};
// What a mixture calls the last stage of its block.
constexpr std::string_view kMixtureOutput = "gate and sum of the shared expert";

const Stage* FindStage(std::string_view tap) {
  const auto* found = std::find_if(std::begin(kStages), std::end(kStages),
                                   [&](const Stage& stage) { return stage.tap == tap; });
  return found == std::end(kStages) ? nullptr : found;
}

}  // namespace

bool IsStage(std::string_view tap) { return FindStage(tap) != nullptr; }

int StageOrder(std::string_view tap) { return static_cast<int>(FindStage(tap) - kStages); }

std::string StageName(int layer, std::string_view tap, const Tapped& engine) {
  const Stage& stage = *FindStage(tap);
  if (stage.tap == "mlp_out" && engine.contains({layer, "moe.routed_out"})) {
    return std::string(kMixtureOutput);
  }
  if (stage.inputs.empty()) return std::string(stage.name);
  for (const absl::string_view input :
       absl::StrSplit(absl::string_view(stage.inputs.data(), stage.inputs.size()), ',')) {
    if (engine.contains({layer, std::string(input)})) return std::string(stage.name);
  }
  return std::string(stage.coarse);
}

}  // namespace crosscheck
