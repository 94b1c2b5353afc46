#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "reference/metrics.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 4;
// As planned: the engine by each way, its NLLs, exact, references of each way.
constexpr size_t kReadout = 0, kPrompt = 1, kSession = 2, kSplit = 3, kNll = 4, kExact = 5;
constexpr size_t ReferenceOf(size_t way) { return 6 + way * kPerturbedRuns; }

const Property& Relation() { return *FindProperty("prefill_decode"); }

// Three tokens; the session prefills two and the further split one.
class PrefillDecodeTest : public testing::Test {
 protected:
  PrefillDecodeTest() {
    run_.model = FakeModel(kVocab);
    run_.path = ModelPath::kSession;
    run_.sequences = {Sequence({1, 3, 2})};
    run_.sequences[0].chunks = {2};
    run_.relation.split = 1;
    for (size_t way : {kPrompt, kReadout, kSession, kSplit}) Answers(way, 0);
    Nll(0);
  }
  // The exact rows that the way answers, its last logit of position 2 off by `error`.
  void Answers(size_t way, double error) {
    seen_.replies[way] =
        Logits(way, error, {{"prompt", 3}, {"readout", 3}, {"prefill", 1}, {"step", 1}});
  }
  Reply Logits(size_t way, double error, const Json& counters) const {
    const int first = way == kPrompt ? 2 : way == kSession ? 1 : 0;
    Rows rows = {{rows_.positions.begin() + first, rows_.positions.end()},
                 {rows_.logits.begin() + first, rows_.logits.end()}};
    rows.logits.back().back() += error;
    return LogitsReply<float>({rows}, counters);
  }
  void Nll(double error) {
    std::vector<float> values;
    for (size_t i = 0; i < 2; ++i) {
      const double logit = rows_.logits[i][static_cast<size_t>(run_.sequences[0].ids[i + 1])];
      values.push_back(static_cast<float>(LogSumExp(rows_.logits[i]) - logit));
    }
    values[0] += static_cast<float>(error);
    seen_.replies[kNll].message.tensors = {MakeTensor("nll", {2}, absl::MakeConstSpan(values))};
  }
  void References(double error) {
    for (size_t way : {kPrompt, kReadout, kSession, kSplit}) {
      seen_.replies[ReferenceOf(way)] =
          Logits(way, error, {{"prompt", 3}, {"readout", 3}, {"prefill", 1}, {"step", 1}});
    }
  }
  Verdict Judge() {
    seen_.replies.try_emplace(kExact, LogitsReply<double>({rows_}, {{"readout", 3}}));
    return Relation().judge(Case(ModelRunSubject(), run_), seen_);
  }
  void ExpectBug(const std::string& stage, ErrorClass error = ErrorClass::kNumeric) {
    const Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug) << verdict.message;
    EXPECT_EQ(verdict.signature.stage, stage);
    EXPECT_EQ(verdict.signature.error, error);
  }

  const Rows rows_ = {{0, 1, 2}, {{1, 2, 3, 4}, {-1, 5, 0, 2}, {3, 1, 0, 2}}};
  ModelRunCase run_;
  FakeObservations seen_;
};

TEST_F(PrefillDecodeTest, EqualPathsPassAtTheirSharedPositions) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  // prompt with the others 1 each, readout-session 2, readout-split 3, session-split 2, NLLs 2.
  EXPECT_EQ(verdict.judged, 3 + 2 + 3 + 2 + 2);
}

TEST_F(PrefillDecodeTest, PlanRunsEveryWayAndTheirReferences) {
  const std::vector<crosscheck::Run> plan = Relation().plan(Case(ModelRunSubject(), run_));
  ASSERT_EQ(plan.size(), ReferenceOf(4));
  EXPECT_EQ(plan[kSession].request.head["sequences"][0]["chunks"], Json({2}));
  EXPECT_EQ(plan[kSplit].request.head["sequences"][0]["chunks"], Json(std::vector<int>{1}));
  EXPECT_EQ(plan[kSplit].request.head["path"], "session");
  EXPECT_EQ(plan[kNll].request.head["op"], "nll");
  EXPECT_EQ(plan[ReferenceOf(kSplit)].role, Role::kPerturbed);
  EXPECT_EQ(plan[ReferenceOf(kSplit)].derive(seen_).head["sequences"][0]["chunks"],
            Json(std::vector<int>{1}));
  EXPECT_EQ(plan[ReferenceOf(kReadout)].derive(seen_).head["path"], "readout");
}

TEST_F(PrefillDecodeTest, ASplitLikeTheSessionIsNotRunAgain) {
  run_.relation.split = 2;
  seen_.replies.erase(kSplit);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(PrefillDecodeTest, AStepThatDiffersFromPrefillIsABug) {
  References(0.001);
  Answers(kSession, 1);
  ExpectBug("readout-session");
  EXPECT_FALSE(Judge().marginal);
}

// Each answer is inside its own bound of six reference errors, and still the two are too far apart.
TEST_F(PrefillDecodeTest, TwoAnswersInsideTheirBoundsOnOppositeSidesAreABug) {
  References(0.01);
  Answers(kSession, 0.055);
  Answers(kSplit, -0.055);
  ExpectBug("session-split");
}

TEST_F(PrefillDecodeTest, ADifferenceWithinTwoLegalRoundingsPasses) {
  References(0.01);
  Answers(kSession, 0.04);
  Answers(kSplit, -0.04);
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
}

TEST_F(PrefillDecodeTest, TokenNllsThatAreNotThoseOfTheLogitsAreABug) {
  Rows off = rows_;  // at every position: only those that have a next token count
  for (auto& row : off.logits) row.back() += 0.001;
  seen_.replies[ReferenceOf(kReadout)] = LogitsReply<float>({off}, {{"readout", 3}});
  Nll(0.01);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass)
      << "twice the bound of the logits: 2 * sqrt(2) * 6 * 0.001\n"
      << Judge().message;
  Nll(0.03);
  ExpectBug("nll");
  Nll(std::numeric_limits<double>::infinity());
  ExpectBug("nll", ErrorClass::kNonfinite);
}

TEST_F(PrefillDecodeTest, InfinityWhereTheExactModelIsFiniteIsABug) {
  Answers(kReadout, std::numeric_limits<double>::infinity());
  ExpectBug("readout-prompt", ErrorClass::kNonfinite);
}

TEST_F(PrefillDecodeTest, WaysThatTheEngineLacksAreLeftOut) {
  seen_.replies[kReadout] = FailedReply(FailureKind::kUnsupported, "no");
  seen_.replies[kNll] = FailedReply(FailureKind::kUnsupported, "no");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
  EXPECT_EQ(verdict.judged, 1 + 1 + 2);
}

TEST_F(PrefillDecodeTest, OnePathAloneProvesNothing) {
  seen_.replies[kReadout] = FailedReply(FailureKind::kUnsupported, "no");
  for (size_t way : {kSession, kSplit}) {
    seen_.replies[way] = Logits(way, 0, {{"prefill", 1}, {"step", 0}});
  }
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(PrefillDecodeTest, AFailureOfOneWayIsAFindingOfThatWay) {
  seen_.replies[kSplit] = FailedReply(FailureKind::kInternal, "no");
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kCrash);
  EXPECT_EQ(verdict.signature.stage, "split");
}

}  // namespace
}  // namespace crosscheck
