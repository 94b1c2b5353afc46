#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/error_bound.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 5;
constexpr size_t kEngine = 0, kExact = 1, kTorch = 2, kFp32 = 3, kLastNudged = 1 + kReferenceRuns;

const Property& Closeness() { return *FindProperty("logit_closeness"); }

// Two sequences of three and two tokens on the readout path; every answer starts as the exact one.
class LogitClosenessTest : public testing::Test {
 protected:
  LogitClosenessTest() {
    run_.model = FakeModel(kVocab);
    run_.path = ModelPath::kReadout;
    run_.sequences = {Sequence({1, 2, 3}), Sequence({4, 1})};
    rows_ = {{{0, 1, 2}, {{1, 2, 3, 4, 8}, {2, -1, 0, 1, 5}, {0, 0.5, 1, -7, 2}}},
             {{0, 1}, {{3, 1, 2, 0, 1}, {1, 1, 1, 2, 6}}}};
    counters_ = {{"readout", 1}};
  }

  Verdict Judge() {
    seen_.replies.try_emplace(kExact, LogitsReply<double>(rows_, {{"readout", 1}}));
    seen_.replies.try_emplace(kEngine, LogitsReply<float>(rows_, counters_));
    return Closeness().judge(Case(ModelRunSubject(), run_), seen_);
  }
  Reply Shifted(double error, size_t sequence = 0, size_t row = 1, size_t logit = 3) {
    std::vector<Rows> rows = rows_;
    rows[sequence].logits[row][logit] += error;
    return LogitsReply<float>(rows, counters_);
  }

  ModelRunCase run_;
  std::vector<Rows> rows_;
  Json counters_;
  FakeObservations seen_;
};

TEST_F(LogitClosenessTest, PlanAsksEngineAndReferencesTheSameOnTheCasesPath) {
  run_.path = ModelPath::kSession;
  run_.sequences[0].chunks = {2};
  std::vector<crosscheck::Run> plan = Closeness().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), 2 + kReferenceRuns);
  EXPECT_EQ(plan[kExact].role, Role::kExact);
  EXPECT_EQ(plan[kExact].request.head["path"], "readout");
  for (size_t i : {size_t{0}, size_t{2}, size_t{3}, size_t{5}, kLastNudged}) {
    Message request = i == 0 ? plan[i].request : plan[i].derive(seen_);
    EXPECT_EQ(request.head["path"], "session");
    EXPECT_EQ(request.head["sequences"][0]["chunks"], Json({2}));
    EXPECT_EQ(request.head["sequences"][1]["ids"], Json({4, 1}));
  }
  EXPECT_EQ(plan[kTorch].role, Role::kTorch);
  EXPECT_EQ(plan[5].role, Role::kPerturbed);
  EXPECT_EQ(plan[5].variant, 3);
  EXPECT_EQ(plan[5].nudge, 0);
  EXPECT_EQ(plan[6].variant, 1);
  EXPECT_EQ(plan[6].nudge, 1);
  EXPECT_EQ(plan[kLastNudged].nudge, 12);
}

TEST_F(LogitClosenessTest, PaddingGoesToTheEngineWithItsMaskAndNotToTheExactModel) {
  run_.sequences[1].left_padding = 2;
  std::vector<crosscheck::Run> plan = Closeness().plan(Case(ModelRunSubject(), run_));
  EXPECT_EQ(plan[kEngine].request.head["sequences"][1]["mask"], Json({0, 0, 1, 1}));
  EXPECT_EQ(plan[kEngine].request.head["sequences"][1]["ids"].size(), 4u);
  EXPECT_EQ(plan[kExact].request.head["sequences"][1]["ids"], Json({4, 1}));
  std::vector<Rows> padded = rows_;
  padded[1].positions = {0, 1, 2, 3};
  padded[1].logits.insert(padded[1].logits.begin(), 2, {9, 9, 9, 9, 9});
  seen_.replies[kEngine] = LogitsReply<float>(padded, counters_);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 5);
}

TEST_F(LogitClosenessTest, PassesAnEqualAnswerAndLooksAtNoReference) {
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 5);
  EXPECT_EQ(verdict.bucket, "qwen3_5/f32-readout/layers1-2/tokens1-8/plain");
  ASSERT_EQ(verdict.measures.size(), 3u);
  EXPECT_EQ(verdict.measures[0].error, 0);
  EXPECT_GT(verdict.measures[0].floor_bound, 0);
}

TEST_F(LogitClosenessTest, AnErrorWithinSixTimesAReferenceErrorPasses) {
  seen_.replies[kEngine] = Shifted(0.055);
  seen_.replies[kTorch] = Shifted(0);
  seen_.replies[kFp32] = Shifted(0.01, 1, 0, 2);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(seen_.looks[kFp32], 1);
  EXPECT_EQ(seen_.looks[kTorch], 0) << "cheapest first, and no more than needed";
}

TEST_F(LogitClosenessTest, AnErrorBeyondSixTimesEveryReferenceErrorIsABugWithItsPlace) {
  seen_.replies[kEngine] = Shifted(0.1);
  seen_.replies[kTorch] = Shifted(0.01, 1, 0, 2);
  seen_.replies[kLastNudged] = Shifted(0.005, 0, 0, 1);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "readout");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
  EXPECT_FALSE(verdict.marginal);
  EXPECT_NE(verdict.message.find("sequence 0, position 1, logit 3"), std::string::npos)
      << verdict.message;
  EXPECT_NE(verdict.message.find("centred_linf"), std::string::npos) << verdict.message;
  EXPECT_EQ(verdict.measures.back().metric, "nll");
}

TEST_F(LogitClosenessTest, AReferenceOnNudgedWeightsShowsTheConditioningOfTheCase) {
  seen_.replies[kEngine] = Shifted(0.1);
  seen_.replies[kTorch] = Shifted(0.01, 1, 0, 2);
  seen_.replies[kLastNudged] = Shifted(0.02, 0, 0, 1);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(LogitClosenessTest, AFindingLessThanOneAndAHalfBoundsBeyondIsMarginal) {
  seen_.replies[kEngine] = Shifted(0.07);
  seen_.replies[kTorch] = Shifted(0.01);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_TRUE(verdict.marginal);
}

TEST_F(LogitClosenessTest, AShiftOfAllLogitsIsNoError) {
  for (Rows& sequence : rows_) {
    for (auto& row : sequence.logits) {
      for (double& logit : row) logit += 0.25;
    }
  }
  seen_.replies[kEngine] = LogitsReply<float>(rows_, counters_);
  for (Rows& sequence : rows_) {
    for (auto& row : sequence.logits) {
      for (double& logit : row) logit -= 0.25;
    }
  }
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(LogitClosenessTest, OneNanIsABugHoweverCloseTheRestIs) {
  seen_.replies[kEngine] = Shifted(std::numeric_limits<double>::quiet_NaN(), 1, 1, 4);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNonfinite);
  EXPECT_NE(verdict.message.find("sequence 1, position 1, logit 4"), std::string::npos);
  seen_.replies[kEngine] = Shifted(-HUGE_VAL);
  EXPECT_EQ(Judge().signature.error, ErrorClass::kNonfinite);
}

TEST_F(LogitClosenessTest, ANanInTheExactModelIsDriftEvenWhenTheEngineHasItToo) {
  rows_[0].logits[0][0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Judge().kind, VerdictKind::kReferenceDrift);
}

TEST_F(LogitClosenessTest, AReferenceThatOverflowsIsDriftAndNeverWidensTheBound) {
  seen_.replies[kEngine] = Shifted(0.05);
  seen_.replies[kTorch] = Shifted(HUGE_VAL);
  EXPECT_EQ(Judge().kind, VerdictKind::kReferenceDrift);
}

TEST_F(LogitClosenessTest, AReferenceThatFailsIsTheHarnessesProblem) {
  seen_.replies[kEngine] = Shifted(0.05);
  seen_.replies[kTorch] = FailedReply(FailureKind::kInternal, "assertion");
  EXPECT_EQ(Judge().kind, VerdictKind::kReferenceDrift);
  seen_.replies[kTorch] = FailedReply(FailureKind::kUnsupported, "masks");
  EXPECT_EQ(Judge().kind, VerdictKind::kSetupError);
  seen_.replies[kExact] = FailedReply(FailureKind::kBadRequest, "no model");
  EXPECT_EQ(Judge().kind, VerdictKind::kSetupError);
}

TEST_F(LogitClosenessTest, APathWhoseCounterIsZeroIsNotJudged) {
  counters_ = {{"readout", 0}, {"prompt", 3}};
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(LogitClosenessTest, LiesAboutPositionsShapesAndTypesAreProtocolBugs) {
  auto expect_lie = [&](const char* what) {
    Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug) << what;
    EXPECT_EQ(verdict.signature.error, ErrorClass::kProtocol) << what;
  };
  Reply good = LogitsReply<float>(rows_, counters_);
  Reply& engine = seen_.replies[kEngine];
  engine = good;
  engine.message.head["positions"][0] = {0, 2, 1};
  expect_lie("order");
  engine.message.head["positions"][0] = {0, 1, 3};
  expect_lie("range");
  engine.message.head["positions"][0] = {0, 1};
  expect_lie("missing position");
  engine.message.head["positions"][0] = {0, 1, "2"};
  expect_lie("text");
  engine.message.head["positions"] = Json::array({{0, 1, 2}});
  expect_lie("sequences");
  engine.message.head.erase("positions");
  expect_lie("none");
  engine = good;
  engine.message.tensors.pop_back();
  expect_lie("tensor missing");
  engine = good;
  engine.message.tensors[0].shape = {5, 3};
  expect_lie("shape");
  engine = good;
  engine.message.tensors[0].dtype = DType::kI32;
  expect_lie("dtype");
}

TEST_F(LogitClosenessTest, SessionAnswersFromTheLastPrefilledTokenOnAndMayAnswerMore) {
  run_.path = ModelPath::kSession;
  run_.sequences[0].chunks = {1, 1};
  counters_ = {{"prefill", 4}, {"step", 1}};
  seen_.replies[kExact] = LogitsReply<double>(rows_, {{"readout", 1}});
  auto judge = [&](std::vector<int> positions) {
    std::vector<Rows> rows = rows_;
    rows[0].logits.clear();
    for (int position : positions) rows[0].logits.push_back(rows_[0].logits[position]);
    rows[0].positions = std::move(positions);
    seen_.replies[kEngine] = LogitsReply<float>(rows, counters_);
    return Judge();
  };
  EXPECT_EQ(judge({1, 2}).judged, 4);
  EXPECT_EQ(judge({0, 1, 2}).judged, 5);
  EXPECT_EQ(judge({2}).signature.error, ErrorClass::kProtocol);
  EXPECT_EQ(judge({0, 2}).signature.error, ErrorClass::kProtocol);
  counters_ = {{"prefill", 4}, {"step", 0}};
  EXPECT_EQ(judge({1, 2}).kind, VerdictKind::kUnsupported);
}

TEST_F(LogitClosenessTest, ReportsTheErrorOfLibtorchAndTheNllOnlyWhenWanted) {
  seen_.replies[kTorch] = Shifted(0.01);
  EXPECT_EQ(Judge().measures[0].reference_error, -1);
  EXPECT_EQ(seen_.looks[kTorch], 0);
  seen_.wanted[kTorch] = true;
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
  EXPECT_NEAR(verdict.measures[0].reference_error, 0.008, 1e-6);
  EXPECT_EQ(verdict.measures.back().metric, "nll");
}

TEST_F(LogitClosenessTest, TheEnginesFailuresKeepTheirClass) {
  seen_.replies[kEngine] = FailedReply(FailureKind::kDead, "signal 11");
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kCrash);
  EXPECT_EQ(verdict.signature.stage, "readout");
}

}  // namespace
}  // namespace crosscheck
