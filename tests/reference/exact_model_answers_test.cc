// Models with a known answer, computed here by other means.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "reference/reference_model.h"
#include "tests/reference/exact_model_helpers.h"

namespace crosscheck {
namespace {

// Tensors of a model by name, to overwrite them.
std::vector<float>& Values(Model& model, const std::string& name) {
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    if (model.tensors[i].name == "model.language_model." + name) return model.values[i];
  }
  ADD_FAILURE() << "no tensor " << name;
  return model.values[0];
}

void SetToZero(Model& model, const std::string& name) {
  std::ranges::fill(Values(model, name), 0.0F);
}

std::vector<double> Normalise(const std::vector<double>& x, absl::Span<const float> weight,
                              double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  std::vector<double> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + eps) * (1.0 + weight[i]);
  }
  return y;
}

std::vector<double> Multiply(absl::Span<const float> weight, const std::vector<double>& x) {
  std::vector<double> y(weight.size() / x.size());
  for (size_t o = 0; o < y.size(); ++o) {
    for (size_t i = 0; i < x.size(); ++i) y[o] += weight[o * x.size() + i] * x[i];
  }
  return y;
}

std::vector<double> Embedding(const Model& model, int32_t id) {
  const auto row =
      model.Get("embed_tokens.weight").subspan(static_cast<size_t>(id) * model.spec.hidden);
  return {row.begin(), row.begin() + model.spec.hidden};
}

TEST(ExactModelAnswersTest, WithSilentBranchesLogitsAreTheHeadOfTheNormedEmbedding) {
  for (const bool tied : {false, true}) {
    ModelSpec spec = AsymmetricSpec();
    spec.tied = tied;
    auto model = std::make_shared<Model>(GenerateModel({spec, {.seed = 3}}));
    for (const char* name :
         {"layers.0.linear_attn.out_proj.weight", "layers.1.self_attn.o_proj.weight",
          "layers.2.linear_attn.out_proj.weight", "layers.0.mlp.down_proj.weight",
          "layers.1.mlp.down_proj.weight", "layers.2.mlp.down_proj.weight"}) {
      SetToZero(*model, name);
    }
    const std::vector<int32_t> ids = Prompt(3, spec.vocab);
    std::vector<double> expected;
    for (const int32_t id : ids) {
      const auto normed = Normalise(Embedding(*model, id), model->Get("norm.weight"), spec.rms_eps);
      const auto logits =
          Multiply(model->Get(tied ? "embed_tokens.weight" : "lm_head.weight"), normed);
      expected.insert(expected.end(), logits.begin(), logits.end());
    }
    EXPECT_LT(RelativeError(Prefill(*Make(model), ids), expected), 1e-14);
  }
}

// With one position attention returns the value itself: o = v[h div G] · σ(gate_h), gate rows [q_h
// | gate_h] per head.
TEST(ExactModelAnswersTest, AttentionOfOnePositionIsItsGatedValue) {
  ModelSpec spec = AsymmetricSpec();
  spec.layers = {LayerKind::kFullAttention};
  auto model = std::make_shared<Model>(GenerateModel({spec, {.seed = 4}}));
  SetToZero(*model, "layers.0.mlp.down_proj.weight");
  const int32_t id = 11;
  std::vector<double> x = Embedding(*model, id);
  const auto y = Normalise(x, model->Get("layers.0.input_layernorm.weight"), spec.rms_eps);
  const auto query_gate = Multiply(model->Get("layers.0.self_attn.q_proj.weight"), y);
  const auto value = Multiply(model->Get("layers.0.self_attn.v_proj.weight"), y);
  const int dim = spec.head_dim, group = spec.heads / spec.kv_heads;
  std::vector<double> gated;
  for (int h = 0; h < spec.heads; ++h) {
    for (int i = 0; i < dim; ++i) {
      gated.push_back(value[h / group * dim + i] /
                      (1 + std::exp(-query_gate[(2 * h + 1) * dim + i])));
    }
  }
  const auto branch = Multiply(model->Get("layers.0.self_attn.o_proj.weight"), gated);
  for (size_t i = 0; i < x.size(); ++i) x[i] += branch[i];
  const auto expected =
      Multiply(model->Get("lm_head.weight"), Normalise(x, model->Get("norm.weight"), spec.rms_eps));
  EXPECT_LT(RelativeError(Prefill(*Make(model), {&id, 1}), expected), 1e-13);
}

}  // namespace
}  // namespace crosscheck
