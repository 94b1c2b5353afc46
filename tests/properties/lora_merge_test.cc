// lora_merge's judge on hand-made observations: what is asked of whom, and both verdicts.
#include <gtest/gtest.h>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/lora.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr size_t kAdapted = 0, kMerged = 1, kUnused = 2, kBase = 3, kExact = 4, kTorch = 5;

class LoraMergeTest : public testing::Test {
 protected:
  LoraMergeTest() {
    case_.model = FakeModel(3);
    case_.adapter = {.rank = 2, .alpha = 8, .modules = {AdapterModule::kUp}};
    case_.ids = {1, 2};
    for (size_t i : {kAdapted, kMerged}) seen_.replies[i] = Engine(0);
    for (size_t i : {kUnused, kBase}) seen_.replies[i] = Engine(2);
    seen_.replies[kExact] = LogitsReply<double>({Logits(0)}, {{"readout", 2}});
  }
  static Rows Logits(double shift) { return {{0, 1}, {{1 + shift, 2, 4}, {0, 1, 3}}}; }
  static Reply Engine(double shift) {
    return LogitsReply<float>({Logits(shift)}, {{"readout", 2}, {"adapter", 4}});
  }
  const Property& LoraMerge() { return *FindProperty("lora_merge"); }
  Verdict Judge() { return LoraMerge().judge(Case(LoraSubject(), case_), seen_); }

  LoraCase case_;
  FakeObservations seen_;
};

TEST_F(LoraMergeTest, PlanServesAdapterMergedWeightsAndBase) {
  const auto plan = LoraMerge().plan(Case(LoraSubject(), case_));
  ASSERT_EQ(plan.size(), kTorch + kReferenceRuns);
  EXPECT_EQ(plan[kAdapted].model->serving.adapter, case_.adapter);
  EXPECT_FALSE(plan[kAdapted].model->serving.merged);
  EXPECT_TRUE(plan[kMerged].model->serving.merged);
  EXPECT_EQ(plan[kUnused].request.head["adapter"], false);
  EXPECT_EQ(plan[kBase].model->serving, Serving{});
  EXPECT_EQ(plan[kExact].model->serving.adapter, case_.adapter);
  EXPECT_EQ(plan[kTorch].model->serving.adapter, case_.adapter);
}

TEST_F(LoraMergeTest, PassesWhereBothFormsAreTheExactModel) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2);
}

TEST_F(LoraMergeTest, AWrongAdapterAndWrongMergedWeightsAreBugsOfTheirOwn) {
  seen_.replies[kAdapted] = Engine(0.1);
  seen_.replies[kTorch] = Engine(0.001);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "adapter");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
  seen_.replies[kTorch] = Engine(0.02);  // a reference that is as bad is an excuse
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
  seen_.replies[kTorch] = Engine(0);
  seen_.replies[kAdapted] = Engine(0);
  seen_.replies[kMerged] = Engine(0.1);
  EXPECT_EQ(Judge().signature.stage, "merged");
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
}

TEST_F(LoraMergeTest, AnUnusedAdapterMustNotChangeABit) {
  seen_.replies[kUnused] = Engine(2.000001);
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "unused");
  EXPECT_NE(verdict.message.find("row 0, logit 0"), std::string::npos) << verdict.message;
}

TEST_F(LoraMergeTest, ZeroBMustNotChangeABit) {
  case_.adapter.zero_b = true;
  EXPECT_EQ(Judge().signature.stage, "zero_b") << "base and adapted differ";
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  for (size_t i : {kUnused, kBase}) seen_.replies[i] = Engine(0);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(LoraMergeTest, AnAdapterThatWasNotAppliedIsNotJudged) {
  seen_.replies[kAdapted] = LogitsReply<float>({Logits(9)}, {{"readout", 2}});
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(LoraMergeTest, FailuresAndLiesAreNoPass) {
  seen_.replies[kMerged] = FailedReply(FailureKind::kDead, "signal 6");
  EXPECT_EQ(Judge().kind, VerdictKind::kCrash);
  seen_.replies[kMerged] = Engine(0);
  seen_.replies[kBase].message.head.erase("positions");
  EXPECT_EQ(Judge().signature.error, ErrorClass::kProtocol);
}

}  // namespace
}  // namespace crosscheck
