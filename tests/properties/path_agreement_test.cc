// path_agreement's judge on hand-made observations: what is asked of whom, and both verdicts.
#include <gtest/gtest.h>

#include <limits>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/weight_format.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kHidden = 2;
constexpr size_t kEngine = 0, kExact = 1, kTorch = 2;

const Property& PathAgreement() { return *FindProperty("path_agreement"); }

class PathAgreementTest : public testing::Test {
 protected:
  PathAgreementTest() {
    auto model = std::make_shared<ModelRecipe>(*FakeModel(4));
    model->spec.hidden = kHidden;
    case_.model = model;
    case_.ids = {1, 3};
    case_.generate = 1;
  }
  Verdict Judge() { return PathAgreement().judge(Case(WeightFormatSubject(), case_), seen_); }
  std::vector<crosscheck::Run> Plan() {
    return PathAgreement().plan(Case(WeightFormatSubject(), case_));
  }

  static Reply States(std::vector<double> values, const Json& head = Json::object()) {
    Reply reply;
    reply.message.head = head;
    const std::vector<float> narrow(values.begin(), values.end());
    reply.message.tensors = {MakeTensor("hidden", {2, kHidden}, absl::MakeConstSpan(narrow))};
    return reply;
  }
  void AskHidden() {
    case_.format = WeightFormat::kF16;
    case_.answer = FormatAnswer::kHidden;
    seen_.replies[kExact] = States({1, -2, 3, 4});
    seen_.replies[kEngine] = States({1, -2, 3, 4}, {{"format", "f16"}});
  }
  void AskTokens(int32_t token) {
    case_.format = WeightFormat::kInt8;
    case_.answer = FormatAnswer::kTokens;
    seen_.replies[kEngine].message.head = {
        {"ids", {token}}, {"stop", "length"}, {"format", "int8"}, {"counters", {{"generated", 1}}}};
    seen_.replies[kExact] = LogitsReply<double>(
        {{{0, 1, 2}, {{0, 1, 2, 3}, {0, 1, 5, 2}, {0, 1, 2, 3}}}}, {{"readout", 1}});
  }

  WeightFormatCase case_;
  FakeObservations seen_;
};

TEST_F(PathAgreementTest, EngineAndReferencesServeTheSameFormat) {
  case_.format = WeightFormat::kQ80;
  for (const crosscheck::Run& run : Plan()) {
    EXPECT_EQ(run.model->serving.format, WeightFormat::kQ80);
    EXPECT_EQ(run.model->spec, case_.model->spec);
  }
  EXPECT_EQ(Plan()[kEngine].request.head["op"], "generate");
  AskHidden();
  const std::vector<crosscheck::Run> plan = Plan();
  ASSERT_EQ(plan.size(), 2 + kReferenceRuns);
  EXPECT_EQ(plan[kEngine].role, Role::kEngine);
  EXPECT_EQ(plan[kEngine].request.head["op"], "hidden");
  EXPECT_EQ(plan[kExact].role, Role::kExact);
  EXPECT_EQ(plan[kTorch].role, Role::kTorch);
  EXPECT_EQ(plan[kTorch].derive(seen_).head["ids"], Json({1, 3}));
}

TEST_F(PathAgreementTest, ExactHiddenStatesPassWithoutAReference) {
  AskHidden();
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 2);
  EXPECT_EQ(verdict.signature.stage, "f16-hidden");
}

TEST_F(PathAgreementTest, HiddenStatesBeyondTheReferencesAreABug) {
  AskHidden();
  seen_.replies[kEngine] = States({1, -2, 3.07, 4}, {{"format", "f16"}});
  Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.error, ErrorClass::kNumeric);
  EXPECT_NE(verdict.message.find("position 1, dimension 0"), std::string::npos) << verdict.message;
  seen_.replies[kTorch] = States({1, -2, 3, 4.011});  // allowed: 6 * 0.011
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  EXPECT_TRUE(Judge().marginal);
  seen_.replies[kTorch] = States({1, -2, 3, 4.012});
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
}

TEST_F(PathAgreementTest, NonfiniteStatesAreABugOfTheEngineOrDriftOfAReference) {
  AskHidden();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  seen_.replies[kEngine] = States({1, nan, 3, 4}, {{"format", "f16"}});
  EXPECT_EQ(Judge().signature.error, ErrorClass::kNonfinite);
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug);
  seen_.replies[kExact] = States({1, nan, 3, 4});
  EXPECT_EQ(Judge().kind, VerdictKind::kReferenceDrift);
}

TEST_F(PathAgreementTest, TokensAreJudgedByTheGapOfTheDecodedWeights) {
  AskTokens(2);
  EXPECT_EQ(Judge().kind, VerdictKind::kPass);
  AskTokens(3);
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.stage, "int8-session");
  EXPECT_EQ(verdict.signature.error, ErrorClass::kToken);
}

TEST_F(PathAgreementTest, AnAnswerThatDoesNotNameTheFormatIsNotJudged) {
  AskTokens(3);
  seen_.replies[kEngine].message.head.erase("format");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  AskHidden();
  seen_.replies[kEngine] = States({9, 9, 9, 9}, {{"format", "f32"}});
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  case_.format = WeightFormat::kF32;
  EXPECT_EQ(Judge().kind, VerdictKind::kEngineBug) << "the checkpoint's own format needs no name";
}

TEST_F(PathAgreementTest, FailuresAndLiesAreNoPass) {
  AskHidden();
  seen_.replies[kEngine] = FailedReply(FailureKind::kDead, "signal 11");
  EXPECT_EQ(Judge().kind, VerdictKind::kCrash);
  seen_.replies[kEngine] = FailedReply(FailureKind::kUnsupported, "no such format");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
  AskHidden();
  seen_.replies[kEngine].message.tensors.clear();
  EXPECT_EQ(Judge().signature.error, ErrorClass::kProtocol);
  AskTokens(2);
  seen_.replies[kEngine] = FailedReply(FailureKind::kSlow, "10 s");
  EXPECT_EQ(Judge().kind, VerdictKind::kTimeout);
  case_.model = [&] {
    auto full = std::make_shared<ModelRecipe>(*case_.model);
    full->spec.max_positions = 2;
    return full;
  }();
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported) << "no room to generate";
}

}  // namespace
}  // namespace crosscheck
