// Faults in one tensor of one layer, and what the localiser has to say about them.
#ifndef CROSSCHECK_TESTS_FUZZ_LOCALISE_ROWS_H_
#define CROSSCHECK_TESTS_FUZZ_LOCALISE_ROWS_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/localise.h"
#include "fuzz/run_case.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {

// `stage`: named with taps. `part`: named without them, always with the same layer. layer -1:
// outside the layers.
struct LocaliseRow {
  std::string fault;  // of the engine, without "faulty:"
  int layer;
  std::string stage, part;
};

// Seven tokens, every position answered.
inline Case MakeCase(const ModelRecipe& recipe) {
  return Case(ModelRunSubject(),
              ModelRunCase{.model = std::make_shared<const ModelRecipe>(recipe),
                           .path = ModelPath::kReadout,
                           .sequences = {{.ids = {3, 1, 7, 11, 7, 1, 12}, .chunks = {7}}}});
}

// Six layers of both kinds; value heads are not key heads, some matrices are square.
inline ModelRecipe Qwen() {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  using enum LayerKind;
  spec.layers = {kLinearAttention, kLinearAttention, kFullAttention,
                 kLinearAttention, kLinearAttention, kFullAttention};
  spec.vocab = 23;
  spec.hidden = 12;
  spec.intermediate = 17;
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 6;
  spec.rotary_dim = 4;
  spec.linear_key_heads = 2;
  spec.linear_value_heads = 6;
  spec.linear_key_dim = 5;
  spec.linear_value_dim = 2;
  recipe.weights.seed = 11;
  return recipe;
}

inline ModelRecipe Llama() {
  ModelRecipe recipe = Qwen();
  recipe.spec.family = Family::kLlama;
  recipe.spec.layers.assign(3, LayerKind::kFullAttention);
  recipe.spec.rotary_dim = recipe.spec.head_dim;
  return recipe;
}

inline ModelRecipe Mixture() {
  ModelRecipe recipe = Qwen();
  recipe.spec.family = Family::kQwen35Moe;
  recipe.spec.layers.resize(4);
  recipe.spec.experts = 5;
  recipe.spec.experts_per_token = 2;
  recipe.spec.shared_intermediate = 9;
  return recipe;
}

inline void PrintTo(const LocaliseRow& row, std::ostream* out) { *out << row.fault; }

// Every expert is chosen, and equal rows of the routers leave open in which order.
inline ModelRecipe TiedMixture() {
  ModelRecipe recipe = Mixture();
  recipe.spec.experts_per_token = recipe.spec.experts;
  recipe.weights.router = RouterStyle::kTied;
  return recipe;
}

// ⌈log2(layers + 1)⌉ runs for the layer and at most three for the part of it.
inline int MostRuns(size_t layers) {
  int runs = 3;
  for (size_t reach = 1; reach < layers + 1; reach *= 2) ++runs;
  return runs;
}

// The case on the engine with the fault: it must fail, and both means must say where.
inline void ExpectPlace(const LocaliseRow& row, const Case& c) {
  auto executor = Executor::Create({.engine = "faulty:" + row.fault});
  ASSERT_TRUE(executor.ok()) << executor.status();
  const Property& property = *FindProperty("logit_closeness");
  const Verdict verdict = RunCase(property, c, **executor);
  ASSERT_TRUE(CanLocalise(property, c, verdict)) << verdict.message;
  const Localisation tapped = Localise(property, c, verdict, **executor);
  ASSERT_TRUE(tapped.first_bad.has_value()) << tapped.ToLine();
  EXPECT_EQ(tapped.first_bad->layer, row.layer) << tapped.ToLine();
  EXPECT_EQ(tapped.first_bad->stage, row.stage) << tapped.ToLine();
  EXPECT_EQ(tapped.first_bad->means, "taps");
  EXPECT_EQ(tapped.runs, 0);

  const Localisation blind = Localise(property, c, verdict, **executor, {.use_taps = false});
  ASSERT_TRUE(blind.first_bad.has_value()) << blind.ToLine();
  EXPECT_EQ(blind.first_bad->layer, row.layer) << blind.ToLine();
  EXPECT_EQ(blind.first_bad->stage, row.part) << blind.ToLine();
  EXPECT_EQ(blind.first_bad->means, "edited models");
  EXPECT_LE(blind.runs, MostRuns(c.As<ModelRunCase>().model->spec.layers.size()));
}

}  // namespace crosscheck

#endif  // CROSSCHECK_TESTS_FUZZ_LOCALISE_ROWS_H_
