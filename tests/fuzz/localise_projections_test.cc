// Engines that show the inputs and outputs of projections only, as lattice does.
#include "tests/fuzz/edited_taps.h"

namespace crosscheck {
namespace {

// What lattice's adapter hook shows: inputs and outputs of the dense projections.
bool IsShownByProjections(const std::string& tap) {
  const std::string stage = tap.substr(tap.find('.') + 1);
  for (const char* shown :
       {"mixer_in", "attn.q_proj_out", "attn.k_proj_out", "attn.v", "attn.gated", "mixer_out",
        "gdn.u", "gdn.z", "gdn.b", "gdn.a", "gdn.normed", "mlp_in", "mlp.gate", "mlp.up",
        "mlp.activated", "mlp_out", "logits"}) {
    if (stage == shown) return true;
  }
  return false;
}

class ProjectionTapsTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(ProjectionTapsTest, NamesWhatIsBetweenTwoProjections) {
  const auto inner = Open("faulty:" + GetParam().fault);
  EditedTaps executor(*inner, [](Reply& reply) {
    std::erase_if(reply.message.tensors,
                  [](const Tensor& tensor) { return !IsShownByProjections(tensor.name); });
  });
  const Localisation found = LocaliseQwen(executor);
  ASSERT_TRUE(found.first_bad.has_value()) << found.ToLine();
  EXPECT_EQ(found.first_bad->layer, GetParam().layer) << found.ToLine();
  EXPECT_EQ(found.first_bad->stage, GetParam().stage) << found.ToLine();
  EXPECT_EQ(found.first_bad->means, "taps");
}

INSTANTIATE_TEST_SUITE_P(
    Faults, ProjectionTapsTest,
    testing::Values(
        LocaliseRow{"one_element@embed_tokens.weight", -1, "embedding", ""},
        LocaliseRow{"scaled_row@embed_tokens.weight", 0, "residual or embedding", ""},
        LocaliseRow{"scaled_row@layers.0.post_attention_layernorm.weight", 0, "post-attention norm",
                    ""},
        LocaliseRow{"scaled_row@layers.0.input_layernorm.weight", 0, "input norm", ""},
        LocaliseRow{"shifted_taps@layers.1.linear_attn.conv1d.weight", 1, "delta rule core", ""},
        LocaliseRow{"per_key_head@layers.3.linear_attn.A_log", 3, "delta rule core", ""},
        LocaliseRow{"norm_offset@layers.2.self_attn.q_norm.weight", 2, "attention core", ""},
        LocaliseRow{"sign_flip@layers.5.mlp.gate_proj.weight", 5, "gate_proj", ""},
        LocaliseRow{"norm_offset@language_model.norm.weight", -1, "final norm", ""},
        LocaliseRow{"one_element@lm_head.weight", -1, "lm_head", ""}));

}  // namespace
}  // namespace crosscheck
