#include <gtest/gtest.h>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 4;
// One prompt: observation 0 generates, then exact, sixteen references, the engine's own logits.
constexpr size_t kEngine = 0, kExact = 1, kTorch = 2, kOwnLogits = 2 + kReferenceRuns;

const Property& Greedy() { return *FindProperty("greedy_prefix"); }

// A prompt of two ids and three tokens to generate; token 0 ends a sequence.
class GreedyPrefixTest : public testing::Test {
 protected:
  GreedyPrefixTest() {
    run_.model = FakeModel(kVocab);
    run_.sequences = {Sequence({3, 1}, 3)};
    exact_ = {{0, 1, 2, 3, 4},
              {{0, 1, 2, 3}, {0, 5, 1, 2}, {0, 1, 5, 2}, {0, 3, 1, 6}, {7, 1, 2, 3}}};
    Generates({1, 2, 3});
  }
  void Generates(const std::vector<int32_t>& ids, const std::string& stop = "length") {
    Reply reply;
    reply.message.head = {{"ids", ids}, {"stop", stop}, {"counters", {{"generated", ids.size()}}}};
    seen_.replies[kEngine] = reply;
    size_t length = 2 + ids.size();
    exact_.positions.resize(length);
    exact_.logits.resize(length);
  }
  Reply Session(double error, size_t row = 3, size_t logit = 1) const {
    Rows rows{{exact_.positions.begin() + 1, exact_.positions.end()},
              {exact_.logits.begin() + 1, exact_.logits.end()}};
    rows.logits[row - 1][logit] += error;
    return LogitsReply<float>({rows}, {{"prefill", 2}, {"step", 3}});
  }
  Verdict Judge() {
    seen_.replies.insert_or_assign(kExact, LogitsReply<double>({exact_}, {{"readout", 1}}));
    return Greedy().judge(Case(ModelRunSubject(), run_), seen_);
  }

  ModelRunCase run_;
  Rows exact_;
  FakeObservations seen_;
};

TEST_F(GreedyPrefixTest, PlanGeneratesGreedilyAndDerivesTheRestFromTheTokens) {
  run_.sequences.push_back(Sequence({2}, 0));
  std::vector<crosscheck::Run> plan = Greedy().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), 4 + kReferenceRuns);
  EXPECT_EQ(plan[0].request.head["op"], "generate");
  EXPECT_EQ(plan[0].request.head["max_tokens"], 3);
  EXPECT_EQ(plan[0].request.head["sampling"]["temperature"], 0);
  EXPECT_EQ(plan[1].request.head["max_tokens"], 1) << "at least one token";
  seen_.replies[1] = seen_.replies[0];
  EXPECT_EQ(plan[2].role, Role::kExact);
  Message exact = plan[2].derive(seen_);
  EXPECT_EQ(exact.head["path"], "readout");
  EXPECT_EQ(exact.head["sequences"][0]["ids"], Json({3, 1, 1, 2, 3}));
  EXPECT_EQ(exact.head["sequences"][1]["ids"], Json({2, 1, 2, 3}));
  for (size_t i : {size_t{3}, 2 + kReferenceRuns, 3 + kReferenceRuns}) {
    Message session = plan[i].derive(seen_);
    EXPECT_EQ(session.head["path"], "session");
    EXPECT_EQ(session.head["sequences"][0]["chunks"], Json({2}));
  }
  EXPECT_EQ(plan[3].role, Role::kTorch);
  EXPECT_EQ(plan[2 + kReferenceRuns].role, Role::kPerturbed);
  EXPECT_EQ(plan[3 + kReferenceRuns].role, Role::kEngine);
}

TEST_F(GreedyPrefixTest, APromptThatFillsTheContextIsLeftOut) {
  auto model = std::make_shared<ModelRecipe>(*run_.model);
  model->spec.max_positions = 2;
  run_.model = model;
  EXPECT_TRUE(Greedy().plan(Case(ModelRunSubject(), run_)).empty());
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(GreedyPrefixTest, PassesTheExactTokensAndLooksAtNoReference) {
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 3);
  EXPECT_EQ(verdict.near_ties, 0);
}

TEST_F(GreedyPrefixTest, ATokenWithALargerGapIsABugAlsoBehindADivergence) {
  exact_.logits[1] = {0, 5, 5 - 1e-9, 2};
  Generates({2, 2, 1});  // a near tie first, then the runner-up by a gap of three
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kToken);
  EXPECT_EQ(verdict.signature.stage, "session");
  EXPECT_EQ(verdict.near_ties, 1);
  EXPECT_NE(verdict.message.find("generated token 2"), std::string::npos) << verdict.message;
  EXPECT_NE(verdict.message.find("took 1, the exact model 3"), std::string::npos);
}

TEST_F(GreedyPrefixTest, TheGapOfTheChosenTokenCountsNotTheMargin) {
  exact_.logits[1] = {0, 5, 5 - 1e-9, 2};  // a tiny margin must not excuse the third token
  Generates({3, 2, 3});
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
}

TEST_F(GreedyPrefixTest, AGapWithinTheErrorOfAReferenceIsACountedNearTie) {
  exact_.logits[3] = {0, 6 - 0.03, 1, 6};
  Generates({1, 2, 1});
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug) << "no reference is as bad";
  seen_.replies[kTorch] = Session(0.004);  // allowed: 2 * 6 * 0.004
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kNearTie) << verdict.message;
  EXPECT_EQ(verdict.near_ties, 1);
  EXPECT_EQ(verdict.judged, 3);
  seen_.replies[kTorch] = Session(0.004, 4);  // behind the last decision: no excuse
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
}

TEST_F(GreedyPrefixTest, EndingBySequenceEndIsJudgedAsAChoice) {
  exact_.logits[3] = {9, 3, 1, 6};
  Generates({1, 2}, "eos");
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 3);
  exact_.logits[3] = {0, 3, 1, 6};
  EXPECT_EQ(Judge().signature.error, ErrorClass::kToken) << "it stopped for no reason";
}

TEST_F(GreedyPrefixTest, TooManyTooFewAndForeignTokensAreBugs) {
  Generates({1, 2});
  EXPECT_EQ(Judge().signature.error, ErrorClass::kToken);
  Generates({1, 2, 9});
  EXPECT_EQ(Judge().signature.error, ErrorClass::kToken);
  Generates({1, 2, 3, 1});
  EXPECT_EQ(Judge().signature.error, ErrorClass::kToken);
}

TEST_F(GreedyPrefixTest, AnExactTieIsJudgedByTheEnginesOwnLogits) {
  exact_.logits[3] = {0, 6, 1, 6};
  Generates({1, 2, 3});  // index 3 where 1 is the lowest
  seen_.replies[kOwnLogits] = Session(1e-6);
  EXPECT_EQ(Judge().kind, VerdictKind::kNearTie) << "its own logits differ";
  seen_.replies[kOwnLogits] = Session(0);
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "tie");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kToken);
  seen_.replies[kOwnLogits] = FailedReply(FailureKind::kUnsupported, "no session logits");
  EXPECT_EQ(Judge().kind, VerdictKind::kNearTie);
  seen_.replies[kOwnLogits] = FailedReply(FailureKind::kDead, "signal 11");
  EXPECT_EQ(Judge().kind, VerdictKind::kCrash);
  Generates({1, 2, 1});
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(GreedyPrefixTest, FailuresLiesAndMissingCountersAreNoPass) {
  seen_.replies[kEngine] = FailedReply(FailureKind::kSlow, "10 s");
  EXPECT_EQ(Judge().kind, VerdictKind::kTimeout);
  Generates({1, 2, 3});
  seen_.replies[kEngine].message.head.erase("stop");
  EXPECT_EQ(Judge().signature.error, ErrorClass::kProtocol);
  Generates({1, 2, 3});
  seen_.replies[kEngine].message.head.erase("counters");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

}  // namespace
}  // namespace crosscheck
