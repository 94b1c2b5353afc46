#include <gtest/gtest.h>

#include <cmath>

#include "properties/property.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

// As planned: A, other work, a generation, A, the generation, A on a second load, each sequence
// alone.
constexpr size_t kFirst = 0, kOther = 1, kGenerate = 2, kAgain = 3, kGenerateAgain = 4,
                 kSecondLoad = 5, kFirstAlone = 6, kSecondAlone = 7;

const Property& Determinism() { return *FindProperty("determinism"); }

Reply Generated(const std::vector<int32_t>& ids) {
  Reply reply;
  reply.message.head = {{"ids", ids}, {"stop", "length"}, {"counters", {{"generated", 2}}}};
  return reply;
}

// Two sequences on the path `prompt`, vocabulary 3, which everything answers alike.
class DeterminismTest : public testing::Test {
 protected:
  DeterminismTest() {
    run_.model = FakeModel(3);
    run_.path = ModelPath::kPrompt;
    run_.sequences = {Sequence({2, 1}, 2), Sequence({1}, 1)};
    for (size_t i : {kFirst, kAgain, kSecondLoad}) seen_.replies[i] = Answer(0.25);
    seen_.replies[kOther] = Alone({{1}, {{9, 9, 9}}});
    for (size_t i : {kGenerate, kGenerateAgain}) seen_.replies[i] = Generated({1, 2});
    seen_.replies[kFirstAlone] = Alone(first_);
    seen_.replies[kSecondAlone] = Alone(Second(0.25));
  }
  static Rows Second(double logit) { return {{0}, {{1, logit, -1}}}; }
  Reply Answer(double logit) const {
    return LogitsReply<float>({first_, Second(logit)}, {{"prompt", 3}});
  }
  static Reply Alone(const Rows& rows) { return LogitsReply<float>({rows}, {{"prompt", 1}}); }
  Verdict Judge() { return Determinism().judge(Case(ModelRunSubject(), run_), seen_); }

  void ExpectBug(const std::string& stage, ErrorClass error) {
    const Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug) << verdict.message;
    EXPECT_EQ(verdict.signature.stage, stage);
    EXPECT_EQ(verdict.signature.error, error);
  }

  const Rows first_ = {{1}, {{0, 1, 2}}};
  ModelRunCase run_;
  FakeObservations seen_;
};

TEST_F(DeterminismTest, EqualBitsPass) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2 + 2) << "positions and generated tokens";
}

TEST_F(DeterminismTest, PlanRepeatsTheRequestAroundOtherWorkAndOnASecondLoad) {
  run_.relation = {.sampled = true, .seed = 7};
  const std::vector<crosscheck::Run> plan = Determinism().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), 8u);
  EXPECT_EQ(plan[kAgain].request.head, plan[kFirst].request.head);
  EXPECT_EQ(plan[kSecondLoad].request.head, plan[kFirst].request.head);
  EXPECT_EQ(plan[kAgain].model, plan[kFirst].model);
  EXPECT_FALSE(*plan[kSecondLoad].model == *plan[kFirst].model);
  EXPECT_EQ(plan[kOther].request.head["sequences"][0]["ids"], Json({2, 2})) << "another prompt";
  EXPECT_EQ(plan[kGenerate].request.head, plan[kGenerateAgain].request.head);
  EXPECT_EQ(plan[kGenerate].request.head["sampling"]["temperature"], 1);
  EXPECT_EQ(plan[kGenerate].request.head["sampling"]["seed"], 3);
  EXPECT_EQ(plan[kSecondAlone].request.head["sequences"][0]["ids"], Json(std::vector<int>{1}));
}

TEST_F(DeterminismTest, OneUnitInTheLastPlaceIsABug) {
  seen_.replies[kAgain] = Answer(std::nextafter(0.25F, 1.0F));
  ExpectBug("repeat", ErrorClass::kState);
}

TEST_F(DeterminismTest, ASignOfZeroIsABug) {
  Rows zero = first_;
  zero.logits[0][0] = -0.0;
  seen_.replies[kAgain] = LogitsReply<float>({zero, Second(0.25)}, {{"prompt", 3}});
  ExpectBug("repeat", ErrorClass::kState);
}

TEST_F(DeterminismTest, ASecondLoadThatAnswersOtherwiseIsABug) {
  seen_.replies[kSecondLoad] = Answer(0.5);
  ExpectBug("reload", ErrorClass::kState);
}

TEST_F(DeterminismTest, ASequenceThatAnswersOtherwiseAloneIsABug) {
  seen_.replies[kSecondAlone] = Alone(Second(0.5));
  ExpectBug("alone", ErrorClass::kState);
}

TEST_F(DeterminismTest, OtherTokensFromTheSameSeedAreABug) {
  seen_.replies[kGenerateAgain] = Generated({1, 1});
  ExpectBug("generate", ErrorClass::kToken);
}

TEST_F(DeterminismTest, AnEngineThatDoesNotGenerateIsJudgedByItsLogits) {
  seen_.replies[kGenerate] = seen_.replies[kGenerateAgain] =
      FailedReply(FailureKind::kUnsupported, "no");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
  EXPECT_EQ(verdict.judged, 2);
  // Once served and once not is no answer.
  seen_.replies[kGenerate] = Generated({1});
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(DeterminismTest, APromptThatFillsTheContextGeneratesNothing) {
  auto model = std::make_shared<ModelRecipe>(*run_.model);
  model->spec.max_positions = 2;
  run_.model = model;
  seen_.replies.erase(kGenerate);
  seen_.replies.erase(kGenerateAgain);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(DeterminismTest, APathThatDidNotRunIsUnsupported) {
  seen_.replies[kFirst] = LogitsReply<float>({first_, Second(0.25)}, {{"prompt", 0}});
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(DeterminismTest, AFailureOfTheSecondRunIsAFinding) {
  seen_.replies[kAgain] = FailedReply(FailureKind::kInternal, "panicked");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kCrash);
  EXPECT_EQ(verdict.signature.stage, "repeat");
}

}  // namespace
}  // namespace crosscheck
