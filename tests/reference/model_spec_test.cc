#include "reference/model_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "nlohmann/json.hpp"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

ModelSpec SmallSpec() {
  ModelSpec spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 50;
  spec.hidden = 20;
  spec.intermediate = 24;
  spec.heads = 6;
  spec.kv_heads = 2;
  spec.head_dim = 12;
  spec.rotary_dim = 6;
  spec.linear_key_heads = 2;
  spec.linear_value_heads = 6;
  spec.linear_key_dim = 5;
  spec.linear_value_dim = 7;
  spec.eos = 49;
  return spec;
}

std::string ErrorOf(const json& config) {
  const auto spec = FromHuggingFaceConfig(config);
  return spec.ok() ? "accepted" : std::string(spec.status().message());
}

// A config with one key of text_config replaced.
json With(const std::string& key, const json& value) {
  json config = ToHuggingFaceConfig(SmallSpec(), "float32");
  config["text_config"][key] = value;
  return config;
}

TEST(HuggingFaceConfigTest, RoundTripKeepsEveryField) {
  ModelSpec spec = SmallSpec();
  for (const bool tied : {false, true}) {
    spec.tied = tied;
    spec.rms_eps = 3e-5;
    spec.rope_theta = 1e7;
    spec.eos = tied ? -1 : 3;
    spec.max_positions = 77;
    const auto read = FromHuggingFaceConfig(ToHuggingFaceConfig(spec, "float32"));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, spec);
  }
}

TEST(HuggingFaceConfigTest, WritesWhatLatticeAndTransformersWant) {
  const json config = ToHuggingFaceConfig(SmallSpec(), "bfloat16");
  const json& text = config["text_config"];
  EXPECT_EQ(config["dtype"], "bfloat16");
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(text["tie_word_embeddings"], false);
  EXPECT_EQ(text["rope_theta"], text["rope_parameters"]["rope_theta"]);
  EXPECT_EQ(text["partial_rotary_factor"], text["rope_parameters"]["partial_rotary_factor"]);
  EXPECT_EQ(text["layer_types"], json({"linear_attention", "full_attention"}));
  EXPECT_TRUE(text["num_experts"].is_null());
  EXPECT_EQ(text["eos_token_id"], 49);
}

TEST(HuggingFaceConfigTest, RotaryFactorSurvivesTruncationInBothPrecisions) {
  ModelSpec spec = SmallSpec();
  for (spec.head_dim = 2; spec.head_dim <= 96; ++spec.head_dim) {
    for (spec.rotary_dim = 2; spec.rotary_dim <= spec.head_dim; spec.rotary_dim += 2) {
      const std::string text = ToHuggingFaceConfig(spec, "float32").dump();
      const json written = json::parse(text)["text_config"]["partial_rotary_factor"];
      const auto factor = written.get<double>();
      const auto narrow = static_cast<float>(factor);
      ASSERT_EQ(static_cast<int>(spec.head_dim * factor), spec.rotary_dim) << spec.head_dim;
      ASSERT_EQ(static_cast<int>(static_cast<float>(spec.head_dim) * narrow), spec.rotary_dim)
          << spec.head_dim;
      ASSERT_LE(factor, 1.0);
    }
  }
}

TEST(HuggingFaceConfigTest, EmptyTextConfigHasTheClassDefaults) {
  const auto spec =
      FromHuggingFaceConfig({{"model_type", "qwen3_5"}, {"text_config", json::object()}});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->vocab, 248320);
  EXPECT_EQ(spec->hidden, 4096);
  EXPECT_EQ(spec->intermediate, 12288);
  ASSERT_EQ(spec->layers.size(), 32);
  EXPECT_EQ(spec->layers[2], LayerKind::kLinearAttention);
  EXPECT_EQ(spec->layers[3], LayerKind::kFullAttention);
  EXPECT_EQ(spec->heads, 16);
  EXPECT_EQ(spec->kv_heads, 4);
  EXPECT_EQ(spec->head_dim, 256);
  EXPECT_EQ(spec->rotary_dim, 64);
  EXPECT_EQ(spec->linear_key_heads, 16);
  EXPECT_EQ(spec->linear_value_heads, 32);
  EXPECT_EQ(spec->linear_key_dim, 128);
  EXPECT_EQ(spec->linear_value_dim, 128);
  EXPECT_EQ(spec->conv_kernel, 4);
  EXPECT_FALSE(spec->tied);
  EXPECT_EQ(spec->rms_eps, 1e-6);
  EXPECT_EQ(spec->rope_theta, 1e4);
  EXPECT_EQ(spec->max_positions, 32768);
  EXPECT_EQ(spec->eos, -1);
}

TEST(HuggingFaceConfigTest, FlatFormReadsLikeTheCompositeOne) {
  const auto spec =
      FromHuggingFaceConfig(ToHuggingFaceConfig(SmallSpec(), "float32")["text_config"]);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(*spec, SmallSpec());
}

TEST(HuggingFaceConfigTest, RopeParametersWinOverFlatKeysAndFlatKeysOverDefaults) {
  json config = With("rope_theta", 111.0);
  config["text_config"]["partial_rotary_factor"] = 0.9;
  EXPECT_EQ(FromHuggingFaceConfig(config)->rope_theta, 1e4);
  EXPECT_EQ(FromHuggingFaceConfig(config)->rotary_dim, 6);
  config["text_config"]["rope_parameters"] = nullptr;
  EXPECT_EQ(FromHuggingFaceConfig(config)->rope_theta, 111.0);
  EXPECT_EQ(FromHuggingFaceConfig(config)->rotary_dim, 10);
  config["text_config"].erase("rope_theta");
  config["text_config"].erase("partial_rotary_factor");
  config["text_config"]["head_dim"] = 16;
  EXPECT_EQ(FromHuggingFaceConfig(config)->rope_theta, 1e4);
  EXPECT_EQ(FromHuggingFaceConfig(config)->rotary_dim, 4);
  config["text_config"]["rope_parameters"] = {{"rope_theta", 5.0}};
  config["text_config"]["rope_scaling"] = {{"rope_theta", 6.0}, {"type", "default"}};
  EXPECT_EQ(FromHuggingFaceConfig(config)->rope_theta, 6.0);
}

TEST(HuggingFaceConfigTest, NullLayerTypesFollowTheInterval) {
  json config = With("layer_types", nullptr);
  config["text_config"]["full_attention_interval"] = 2;
  EXPECT_EQ(FromHuggingFaceConfig(config)->layers, SmallSpec().layers);
  config["text_config"].erase("full_attention_interval");
  EXPECT_EQ(FromHuggingFaceConfig(config)->layers[1], LayerKind::kLinearAttention);
}

TEST(HuggingFaceConfigTest, TopLevelTieWinsAndTheInnerOneCountsWithoutIt) {
  json config = With("tie_word_embeddings", true);
  EXPECT_FALSE(FromHuggingFaceConfig(config)->tied);
  config.erase("tie_word_embeddings");
  EXPECT_TRUE(FromHuggingFaceConfig(config)->tied);
}

TEST(HuggingFaceConfigTest, EndOfSequenceIsAnIdTheFirstOfAListOrNone) {
  EXPECT_EQ(FromHuggingFaceConfig(With("eos_token_id", {7, 8}))->eos, 7);
  EXPECT_EQ(FromHuggingFaceConfig(With("eos_token_id", nullptr))->eos, -1);
  EXPECT_THAT(ErrorOf(With("eos_token_id", json::array())), HasSubstr("eos_token_id holds []"));
  EXPECT_THAT(ErrorOf(With("eos_token_id", -4)), HasSubstr("eos_token_id holds -4"));
  EXPECT_THAT(ErrorOf(With("eos_token_id", 50)), HasSubstr("eos is 50; expected -1..49"));
}

TEST(HuggingFaceConfigTest, WrongTypesNameKeyValueAndExpectation) {
  EXPECT_THAT(ErrorOf(With("hidden_size", "20")),
              AllOf(HasSubstr("text_config.hidden_size holds \"20\" (string)"),
                    HasSubstr("expected an integer")));
  EXPECT_THAT(ErrorOf(With("hidden_size", 20.5)), HasSubstr("holds 20.5 (number)"));
  EXPECT_THAT(ErrorOf(With("hidden_size", 99999999999)), HasSubstr("expected an integer"));
  EXPECT_THAT(ErrorOf(With("hidden_size", json::parse("1e300"))), HasSubstr("expected an integer"));
  EXPECT_THAT(ErrorOf(With("rms_norm_eps", "x")), HasSubstr("expected a number"));
  EXPECT_THAT(ErrorOf(With("tie_word_embeddings", 1)), HasSubstr("expected true or false"));
  EXPECT_THAT(ErrorOf(With("layer_types", {"full_attention"})), HasSubstr("num_hidden_layers (2)"));
  EXPECT_THAT(ErrorOf(With("layer_types", {"sliding", "full_attention"})),
              HasSubstr("layer_types holds \"sliding\""));
  EXPECT_THAT(ErrorOf(With("rope_parameters", 3)), HasSubstr("rope_parameters holds 3"));
  EXPECT_THAT(ErrorOf(With("num_key_value_heads", 4)), HasSubstr("a divisor of heads (6)"));
  EXPECT_THAT(ErrorOf(With("rms_norm_eps", 0)), HasSubstr("rms_eps is 0"));
  json null_layers = With("layer_types", nullptr);
  null_layers["text_config"]["num_hidden_layers"] = 2147483647;
  EXPECT_THAT(ErrorOf(null_layers), HasSubstr("num_hidden_layers holds 2147483647"));
  EXPECT_THAT(ErrorOf(json::array()), HasSubstr("expected an object"));
}

TEST(HuggingFaceConfigTest, UnsupportedFamiliesAndFeaturesAreRefusedByName) {
  EXPECT_THAT(ErrorOf({{"model_type", "gpt2"}}),
              AllOf(HasSubstr("\"gpt2\""), HasSubstr("supported: qwen3_5")));
  EXPECT_THAT(ErrorOf(json::object()), HasSubstr("model_type is missing"));
  EXPECT_THAT(ErrorOf(With("model_type", "qwen3_5_moe_text")), HasSubstr("qwen3_5_moe_text"));
  EXPECT_THAT(ErrorOf(With("num_experts", 5)), HasSubstr("mixture of experts"));
  EXPECT_THAT(ErrorOf(With("attention_bias", true)), HasSubstr("biases"));
  EXPECT_THAT(ErrorOf(With("hidden_act", "gelu")), HasSubstr("\"silu\""));
  EXPECT_THAT(ErrorOf(With("rope_parameters", {{"rope_type", "yarn"}})), HasSubstr("\"yarn\""));
  EXPECT_THAT(ErrorOf(With("quantization_config", {{"bits", 4}})), HasSubstr("quantisation"));
}

TEST(ModelSpecTest, ValidateNamesTheFieldThatIsOutOfRange) {
  EXPECT_TRUE(Validate(SmallSpec()).ok());
  const auto error = [](auto change) {
    ModelSpec spec = SmallSpec();
    change(&spec);
    return std::string(Validate(spec).message());
  };
  EXPECT_THAT(error([](ModelSpec* s) { s->layers.clear(); }), HasSubstr("layers is 0"));
  EXPECT_THAT(error([](ModelSpec* s) { s->vocab = 0; }), HasSubstr("vocab is 0"));
  EXPECT_THAT(error([](ModelSpec* s) { s->rotary_dim = 5; }), HasSubstr("an even number"));
  EXPECT_THAT(error([](ModelSpec* s) { s->rotary_dim = 14; }), HasSubstr("2..12"));
  EXPECT_THAT(error([](ModelSpec* s) { s->linear_value_heads = 5; }), HasSubstr("a multiple of"));
  EXPECT_THAT(error([](ModelSpec* s) { s->conv_kernel = 0; }), HasSubstr("conv_kernel"));
  EXPECT_THAT(error([](ModelSpec* s) { s->rope_theta = 0.0 / 0.0; }), HasSubstr("rope_theta"));
  EXPECT_THAT(error([](ModelSpec* s) { s->eos = -2; }), HasSubstr("eos"));
}

TEST(ModelSpecTest, TensorsHaveTheDocumentedCountsAndShapes) {
  ModelSpec spec = SmallSpec();
  const std::vector<TensorInfo> tensors = Tensors(spec);
  EXPECT_EQ(tensors.size(), 3 + 14 + 11);
  const auto shape = [&](std::string_view name) -> std::vector<int64_t> {
    for (const TensorInfo& info : tensors) {
      if (info.name == name) return info.shape;
    }
    return {};
  };
  const std::string layers = "model.language_model.layers.";
  EXPECT_EQ(shape(layers + "1.self_attn.q_proj.weight"), (std::vector<int64_t>{144, 20}));
  EXPECT_EQ(shape(layers + "1.self_attn.o_proj.weight"), (std::vector<int64_t>{20, 72}));
  EXPECT_EQ(shape(layers + "0.linear_attn.in_proj_qkv.weight"), (std::vector<int64_t>{62, 20}));
  EXPECT_EQ(shape(layers + "0.linear_attn.conv1d.weight"), (std::vector<int64_t>{62, 1, 4}));
  EXPECT_EQ(shape(layers + "0.linear_attn.A_log"), (std::vector<int64_t>{6}));
  EXPECT_EQ(tensors.back().name, "lm_head.weight");
  spec.tied = true;
  EXPECT_EQ(Tensors(spec).back().name, "model.language_model.norm.weight");
}

}  // namespace
}  // namespace crosscheck
