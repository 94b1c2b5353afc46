#include "fuzz/model_coverage.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "properties/subjects/model_run.h"

namespace crosscheck {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;
using testing::Not;

std::vector<std::string> Classes(const ModelSpec& spec, int64_t length) {
  std::vector<std::string> names;
  for (const int i : LengthClassesOf(spec, length)) names.emplace_back(kLengthClasses[i]);
  return names;
}

int Index(std::string_view name) {
  return static_cast<int>(std::find(std::begin(kLengthClasses), std::end(kLengthClasses), name) -
                          std::begin(kLengthClasses));
}

TEST(ModelCoverageTest, ALengthIsOfEachClassWhoseEdgeItIs) {
  ModelSpec spec;
  spec.layers = {LayerKind::kLinearAttention};
  spec.conv_kernel = 4;
  spec.max_positions = 64;
  EXPECT_THAT(Classes(spec, 1), ElementsAre("1"));
  EXPECT_THAT(Classes(spec, 3), ElementsAre("kernel"));
  EXPECT_THAT(Classes(spec, 5), ElementsAre("kernel"));
  EXPECT_THAT(Classes(spec, 6), ElementsAre("other"));
  EXPECT_THAT(Classes(spec, 64), ElementsAre("64", "context"));
  EXPECT_THAT(Classes(spec, 65), ElementsAre("65"));
  spec.layers = {LayerKind::kFullAttention};  // without a convolution
  EXPECT_THAT(Classes(spec, 4), ElementsAre("other"));
}

// The simplest case, with room for `tokens` in its model's context.
ModelRunCase SimplestWith(size_t tokens, ModelPath path) {
  const Property& property = *FindProperty("logit_closeness");
  auto value = property.subject->read({}, Limits()).As<ModelRunCase>();
  ModelRecipe model = *value.model;
  model.spec.max_positions = 16;
  value.model = std::make_shared<const ModelRecipe>(std::move(model));
  value.path = path;
  value.sequences[0].ids.resize(tokens);
  return value;
}

TEST(ModelCoverageTest, CountsWhatTheAnswersProveAndNothingElse) {
  const Property& property = *FindProperty("logit_closeness");
  auto executor = Executor::Create({.engine = "exact"});
  ASSERT_TRUE(executor.ok()) << executor.status();
  const auto run = [&](size_t tokens, ModelPath path, ModelCoverage& coverage) {
    AddModelCoverage(property, Case(*property.subject, SimplestWith(tokens, path)), **executor,
                     coverage);
  };
  ModelCoverage coverage;
  run(1, ModelPath::kPrompt, coverage);
  run(1, ModelPath::kPrompt, coverage);
  const auto other = Index("other");
  ASSERT_FALSE(coverage.empty());
  const std::string family = coverage.begin()->first.family;
  EXPECT_EQ((coverage[{family, "prompt", Index("1")}]), 2);
  for (const auto& [cell, count] : coverage) EXPECT_EQ(cell.counter, "prompt");
  run(9, ModelPath::kReadout, coverage);
  EXPECT_THAT(coverage, Contains(Key(ModelCell{family, "readout", other})));
  EXPECT_THAT(coverage, Not(Contains(Key(ModelCell{family, "prompt", other}))));
  run(16, ModelPath::kSession, coverage);
  EXPECT_THAT(coverage, Contains(Key(ModelCell{family, "prefill", Index("context")})));
  const size_t before = coverage.size();
  run(17, ModelPath::kPrompt, coverage);  // refused: beyond the context
  EXPECT_EQ(coverage.size(), before);
}

TEST(ModelCoverageTest, TheTableHasARowForEachServedFamilyAndADashWhereNothingWas) {
  Limits limits;
  limits.families = 0b011;
  const ModelCoverage coverage = {{{"qwen3_5", "prompt", 0}, 17}, {{"qwen3_5", "step", 3}, 4}};
  const std::string table = ModelCoverageTable(coverage, limits);
  EXPECT_THAT(table, HasSubstr("qwen3_5      prompt           17        -"));
  EXPECT_THAT(table, HasSubstr("llama        step              -        -"));
  EXPECT_THAT(table, Not(HasSubstr("qwen3_5_moe")));
}

}  // namespace
}  // namespace crosscheck
