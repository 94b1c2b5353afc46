// Faults in one tensor of linear attention, and in the tensors outside the layers.
#include "tests/fuzz/localise_rows.h"

namespace crosscheck {
namespace {

class LocaliseLinearTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(LocaliseLinearTest, NamesLayerAndStage) { ExpectPlace(GetParam(), MakeCase(Qwen())); }

INSTANTIATE_TEST_SUITE_P(
    Faults, LocaliseLinearTest,
    testing::Values(
        LocaliseRow{"norm_offset@layers.0.input_layernorm.weight", 0, "input norm",
                    "linear attention"},
        LocaliseRow{"scaled_row@layers.1.linear_attn.in_proj_qkv.weight", 1, "in_proj_qkv",
                    "linear attention"},
        LocaliseRow{"transposed@layers.3.linear_attn.in_proj_z.weight", 3, "in_proj_z",
                    "linear attention"},
        LocaliseRow{"per_key_head@layers.4.linear_attn.in_proj_b.weight", 4, "in_proj_b",
                    "linear attention"},
        LocaliseRow{"per_key_head@layers.0.linear_attn.in_proj_a.weight", 0, "in_proj_a",
                    "linear attention"},
        LocaliseRow{"shifted_taps@layers.3.linear_attn.conv1d.weight", 3, "conv",
                    "linear attention"},
        LocaliseRow{"per_key_head@layers.1.linear_attn.A_log", 1, "decay", "linear attention"},
        LocaliseRow{"per_key_head@layers.4.linear_attn.dt_bias", 4, "decay", "linear attention"},
        LocaliseRow{"one_element@layers.0.linear_attn.norm.weight", 0, "gated norm",
                    "linear attention"},
        LocaliseRow{"swapped_rows@layers.3.linear_attn.out_proj.weight", 3, "out_proj",
                    "linear attention"},
        LocaliseRow{"one_element@embed_tokens.weight", -1, "embedding", "outside the layers"},
        LocaliseRow{"norm_offset@language_model.norm.weight", -1, "final norm",
                    "outside the layers"},
        LocaliseRow{"scaled_row@lm_head.weight", -1, "lm_head", "outside the layers"}));

}  // namespace
}  // namespace crosscheck
