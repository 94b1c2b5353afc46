// What the localiser does beside naming a fault: clean engines, its guards, what it leaves alone.
#include "fuzz/localise.h"

#include <gmock/gmock.h>

#include "engines/registry.h"
#include "fuzz/localise_taps.h"
#include "fuzz/smoke.h"
#include "properties/judges/failure.h"
#include "tests/fuzz/edited_taps.h"
#include "tests/fuzz/localise_rows.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

constexpr char kFault[] = "faulty:sign_flip@layers.1.mlp.up_proj.weight";

bool IsBuilt(const std::string& engine) {
  for (const EngineInfo& info : ListEngines()) {
    if (info.name == engine) return info.available;
  }
  return false;
}

class CleanEngineTest : public testing::TestWithParam<const char*> {};

TEST_P(CleanEngineTest, HasNoStageBeyondItsBound) {
  if (!IsBuilt(GetParam())) GTEST_SKIP() << GetParam() << " is not built";
  const auto executor = Open(GetParam());
  SmokeOptions options;
  options.properties = {FindProperty("logit_closeness")};
  options.seed = 5;
  options.cases_per_model = 1;
  int stages_seen = 0;
  for (int64_t i = 0; i < 100; ++i) {
    const Case drawn = CaseOfSequence(options, executor->limits(), i).value;
    const auto& c = drawn.As<ModelRunCase>();
    const auto tapped = TapEngine(c.model, c.sequences[0].ids, *executor);
    if (absl::IsUnimplemented(tapped.status())) continue;  // lattice taps one family
    ASSERT_TRUE(tapped.ok()) << tapped.status();
    const auto ladder = StageErrors(*c.model, c.sequences[0].ids, *tapped);
    ASSERT_TRUE(ladder.ok()) << ladder.status();
    EXPECT_TRUE(ladder->misfits.empty());
    for (const StageError& stage : ladder->stages) {
      EXPECT_FALSE(stage.bad()) << "case " << i << " layer " << stage.layer << " " << stage.stage
                                << ": " << stage.ratio;
      ++stages_seen;
    }
  }
  EXPECT_GT(stages_seen, 1000);
}

INSTANTIATE_TEST_SUITE_P(Engines, CleanEngineTest, testing::Values("torch", "lattice"));

TEST(LocaliseTest, AnEngineWithoutTapsIsLocalisedByEditedModels) {
  const auto inner = Open(kFault);
  EditedTaps executor(
      *inner, [](Reply& reply) { reply = FailedReply(FailureKind::kUnsupported, "no taps"); });
  const Localisation found = LocaliseQwen(executor);
  ASSERT_TRUE(found.first_bad.has_value());
  EXPECT_EQ(found.ToLine(), "first bad: layer 1, MLP (edited models); the engine has no taps");
  EXPECT_TRUE(found.stages.empty());
}

// The defects of two released versions of lattice: rotation pairs neighbours up to 0.2.2, and decay
// belongs to key heads up to 0.4.0.
TEST(LocaliseTest, NamesWhereReleasedVersionsWentWrong) {
  struct Released {
    const char *engine, *stage;
    int layer, value_heads;
  };
  for (const Released& row : {Released{"lattice@0.2.2", "attention core", 2, 2},
                              Released{"lattice@0.2.3", "delta rule core", 0, 6}}) {
    const auto executor = Executor::Create({.engine = row.engine});
    if (!executor.ok()) GTEST_SKIP() << executor.status();
    ModelRecipe recipe = Qwen();
    recipe.spec.linear_value_heads = row.value_heads;
    ModelRunCase value = MakeCase(recipe).As<ModelRunCase>();
    value.path = ModelPath::kPrompt;
    const Case c(ModelRunSubject(), value);
    const Property& property = *FindProperty("logit_closeness");
    const Localisation found = Localise(property, c, RunCase(property, c, **executor), **executor);
    ASSERT_TRUE(found.first_bad.has_value()) << found.ToLine();
    EXPECT_EQ(found.first_bad->layer, row.layer) << row.engine;
    EXPECT_EQ(found.first_bad->stage, row.stage) << row.engine;
    EXPECT_EQ(found.first_bad->means, "taps") << row.engine;
  }
}

// The Heisenbug guard: what is tapped is not what failed.
TEST(LocaliseTest, TapsThatChangeTheAnswerAreNotBelieved) {
  const auto inner = Open(kFault);
  EditedTaps executor(*inner, [](Reply& reply) {
    for (Tensor& tensor : reply.message.tensors) tensor.bytes[0] ^= 1;
  });
  const Localisation found = LocaliseQwen(executor);
  ASSERT_TRUE(found.first_bad.has_value());
  EXPECT_EQ(found.first_bad->means, "edited models");
  EXPECT_THAT(found.ToLine(), HasSubstr("the engine answers other logits when it taps"));
}

// Its `logits` are wrong, and nothing that they are made of.
TEST(LocaliseTest, AFaultThatTheTapsDoNotShowIsOutsideTheLayers) {
  const auto executor = Open("faulty:token_logit");
  const Localisation found = LocaliseQwen(*executor);
  ASSERT_TRUE(found.first_bad.has_value()) << found.ToLine();
  EXPECT_EQ(found.first_bad->layer, -1);
  EXPECT_EQ(found.first_bad->stage, "outside the layers");
}

TEST(LocaliseTest, AStateThatOneSequenceLeavesIsSeenOnThePathOfTheFinding) {
  const auto executor = Open("faulty:stale_state");
  ModelRunCase value = MakeCase(Qwen()).As<ModelRunCase>();
  value.sequences.push_back(value.sequences[0]);
  value.sequences[1].ids[0] = 5;
  const Case c(ModelRunSubject(), value);
  const Property& property = *FindProperty("logit_closeness");
  const Verdict verdict = RunCase(property, c, *executor);
  ASSERT_TRUE(CanLocalise(property, c, verdict)) << verdict.message;
  const Localisation found = Localise(property, c, verdict, *executor);
  EXPECT_THAT(found.ToLine(), HasSubstr("no stage is beyond its bound on the path that is tapped"));
}

TEST(LocaliseTest, AGreedyTokenIsLocalisedOnTheTokensThatWereGenerated) {
  const auto executor = Open(kFault);
  ModelRunCase value = MakeCase(Qwen()).As<ModelRunCase>();
  value.path = ModelPath::kSession;
  value.sequences[0].ids = {3, 1};
  value.sequences[0].chunks = {2};
  value.sequences[0].generate = 12;
  const Case c(ModelRunSubject(), value);
  const Property& property = *FindProperty("greedy_prefix");
  const Verdict verdict = RunCase(property, c, *executor);
  ASSERT_TRUE(CanLocalise(property, c, verdict)) << verdict.message;
  const Localisation found = Localise(property, c, verdict, *executor);
  ASSERT_TRUE(found.first_bad.has_value()) << found.ToLine();
  EXPECT_EQ(found.first_bad->layer, 1);
  EXPECT_EQ(found.first_bad->stage, "up_proj");
}

// A norm hides the scale of the embedding wherever nothing else is added to it.
TEST(LocaliseTest, AScaledEmbeddingIsSeenByTapsAndTakenForTheFirstLayerWithout) {
  const auto executor = Open("faulty:scaled_row@embed_tokens.weight");
  const Property& property = *FindProperty("logit_closeness");
  const Case c = MakeCase(Qwen());
  const Verdict verdict = RunCase(property, c, *executor);
  EXPECT_EQ(Localise(property, c, verdict, *executor).first_bad->stage, "embedding");
  const Localisation blind = Localise(property, c, verdict, *executor, {.use_taps = false});
  EXPECT_EQ(blind.first_bad->layer, 0);
  EXPECT_EQ(blind.first_bad->stage, "both halves or their input");
}

TEST(LocaliseTest, AFindingThatDoesNotComeBackHasNoPlace) {
  const auto executor = Open("torch");
  const Property& property = *FindProperty("logit_closeness");
  Verdict verdict = MakeVerdict(VerdictKind::kEngineBug, "readout", ErrorClass::kNumeric, "");
  verdict.signature.property = "logit_closeness";
  const Localisation found = Localise(property, MakeCase(Qwen()), verdict, *executor);
  EXPECT_FALSE(found.first_bad.has_value());
  EXPECT_EQ(found.ToLine(),
            "first bad: not found; the case does not fail again with this signature");
}

TEST(LocaliseTest, OtherKindsOfFindingsAreLeftAlone) {
  const Property& property = *FindProperty("logit_closeness");
  const Case c = MakeCase(Qwen());
  for (const auto& [kind, error] : {std::pair{VerdictKind::kCrash, ErrorClass::kPanic},
                                    std::pair{VerdictKind::kReferenceDrift, ErrorClass::kNumeric},
                                    std::pair{VerdictKind::kEngineBug, ErrorClass::kProtocol},
                                    std::pair{VerdictKind::kEngineBug, ErrorClass::kToken}}) {
    EXPECT_FALSE(CanLocalise(property, c, MakeVerdict(kind, "readout", error, "")));
  }
}

}  // namespace
}  // namespace crosscheck
