// Faults in one tensor of full attention, of the MLP and of a mixture of experts.
#include "tests/fuzz/localise_rows.h"

namespace crosscheck {
namespace {

class LocaliseAttentionTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(LocaliseAttentionTest, NamesLayerAndStage) { ExpectPlace(GetParam(), MakeCase(Qwen())); }

INSTANTIATE_TEST_SUITE_P(
    Faults, LocaliseAttentionTest,
    testing::Values(
        LocaliseRow{"swapped_halves@layers.2.self_attn.q_proj.weight", 2, "q_proj",
                    "attention beside the scores"},
        LocaliseRow{"sign_flip@layers.5.self_attn.k_proj.weight", 5, "k_proj", "attention scores"},
        LocaliseRow{"swapped_halves@layers.2.self_attn.v_proj.weight", 2, "v_proj",
                    "attention beside the scores"},
        LocaliseRow{"norm_offset@layers.5.self_attn.q_norm.weight", 5, "q norm",
                    "attention scores"},
        LocaliseRow{"swapped_rows@layers.2.self_attn.k_norm.weight", 2, "k norm",
                    "attention scores"},
        LocaliseRow{"zeroed_column@layers.5.self_attn.o_proj.weight", 5, "out_proj",
                    "attention beside the scores"},
        LocaliseRow{"one_element@layers.4.post_attention_layernorm.weight", 4,
                    "post-attention norm", "MLP"},
        LocaliseRow{"one_element@layers.1.mlp.gate_proj.weight", 1, "gate_proj", "MLP"},
        LocaliseRow{"rounded@layers.3.mlp.up_proj.weight", 3, "up_proj", "MLP"},
        LocaliseRow{"transposed@layers.5.mlp.down_proj.weight", 5, "down_proj", "MLP"}));

class LocaliseLlamaTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(LocaliseLlamaTest, NamesLayerAndStage) { ExpectPlace(GetParam(), MakeCase(Llama())); }

INSTANTIATE_TEST_SUITE_P(
    Faults, LocaliseLlamaTest,
    testing::Values(
        LocaliseRow{"swapped_halves@layers.1.self_attn.q_proj.weight", 1, "q_proj",
                    "attention scores"},
        LocaliseRow{"transposed@layers.2.self_attn.k_proj.weight", 2, "k_proj", "attention scores"},
        LocaliseRow{"norm_offset@layers.2.input_layernorm.weight", 2, "input norm",
                    "attention beside the scores"},
        LocaliseRow{"zeroed_column@layers.0.mlp.down_proj.weight", 0, "down_proj", "MLP"}));

class LocaliseMixtureTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(LocaliseMixtureTest, NamesLayerAndStage) { ExpectPlace(GetParam(), MakeCase(Mixture())); }

INSTANTIATE_TEST_SUITE_P(
    Faults, LocaliseMixtureTest,
    testing::Values(
        LocaliseRow{"swapped_halves@layers.1.mlp.gate.weight", 1, "router", "routed experts"},
        LocaliseRow{"swapped_halves@layers.3.mlp.experts.gate_up_proj", 3, "experts",
                    "routed experts"},
        LocaliseRow{"sign_flip@layers.2.mlp.experts.down_proj", 2, "experts", "routed experts"},
        LocaliseRow{"scaled_row@layers.0.mlp.shared_expert.up_proj.weight", 0, "shared expert",
                    "shared expert"},
        LocaliseRow{"sign_flip@layers.2.mlp.shared_expert_gate.weight", 2,
                    "gate of the shared expert", "shared expert"}));

class LocaliseTiedMixtureTest : public testing::TestWithParam<LocaliseRow> {};

TEST_P(LocaliseTiedMixtureTest, NamesLayerAndStage) {
  ExpectPlace(GetParam(), MakeCase(TiedMixture()));
}

INSTANTIATE_TEST_SUITE_P(Faults, LocaliseTiedMixtureTest,
                         testing::Values(LocaliseRow{"sign_flip@layers.1.mlp.experts.gate_up_proj",
                                                     1, "experts", "routed experts"},
                                         LocaliseRow{"one_element@layers.0.mlp.gate.weight", 0,
                                                     "router", "routed experts"}));

}  // namespace
}  // namespace crosscheck
