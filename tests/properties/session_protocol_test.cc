#include <gtest/gtest.h>

#include <limits>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/session.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 3;
constexpr size_t kEngine = 0, kExact = 1;
using enum SessionCall;

const Property& Protocol() { return *FindProperty("session_protocol"); }

// open(1 2), prefill, select, select, decode of the replaced prediction (refused), decode(0),
// select; every answer starts as it should be.
class SessionProtocolTest : public testing::Test {
 protected:
  SessionProtocolTest() {
    auto model = std::make_shared<ModelRecipe>(*FakeModel(kVocab));
    model->spec.max_positions = 8;
    case_.model = model;
    SessionStep open{.call = kOpen, .max_tokens = 4};
    open.ids = {1, 2};
    SessionStep stale{.call = kDecode, .prediction = PredictionChoice::kOlder};
    case_.steps = {open,  {.call = kPrefill}, {.call = kSelect}, {.call = kSelect},
                   stale, {.call = kDecode},  {.call = kSelect}};
    steps_ = {Ok({{"length", 0}}), Ok({{"length", 2}}), Ok({{"token", 2}}), Ok({{"token", 2}}),
              Failed("refused"),   Ok({{"length", 3}}), Ok({{"token", 0}})};
    rows_ = {{2, {0, 1, 4}}, {3, {0, 1, 4}}, {6, {5, 2, -1}}};
  }

  static Json Ok(Json fields) {
    fields["ok"] = true;
    return fields;
  }
  static Json Failed(const char* code, const char* type = "Inference") {
    return {{"ok", false}, {"error", {{"code", code}, {"message", "no"}, {"type", type}}}};
  }

  Verdict Judge() {
    Reply reply;
    reply.message.head = {{"ok", true}, {"steps", steps_}, {"counters", counters_}};
    for (const auto& [step, row] : rows_) {
      reply.message.tensors.push_back(MakeTensor("step." + std::to_string(step) + ".logits",
                                                 {1, static_cast<int64_t>(row.size())},
                                                 absl::MakeConstSpan(row)));
    }
    seen_.replies.try_emplace(kEngine, reply);
    seen_.replies.try_emplace(
        kExact,
        LogitsReply<double>({{{0, 1, 2}, {{9, 9, 9}, {0, 1, 4}, {5, 2, -1}}}}, {{"readout", 1}}));
    return Protocol().judge(Case(SessionSubject(), case_), seen_);
  }
  void ExpectBug(const char* stage, ErrorClass error) {
    const Verdict verdict = Judge();
    EXPECT_TRUE(verdict.IsFinding());
    EXPECT_EQ(verdict.signature.stage, stage) << verdict.message;
    EXPECT_EQ(verdict.signature.error, error) << verdict.message;
  }

  SessionCase case_;
  Json steps_, counters_ = {{"prefill", 2}, {"step", 1}};
  std::map<int, std::vector<float>> rows_;
  FakeObservations seen_;
};

TEST_F(SessionProtocolTest, RequestNamesCallsIdsAndPredictions) {
  case_.steps[0].fault = IdFault::kHuge;
  case_.steps[1].call = kCancelledPrefill;
  const auto plan = Protocol().plan(Case(SessionSubject(), case_));
  ASSERT_EQ(plan.size(), 2 + kReferenceRuns);
  const Json& head = plan[kEngine].request.head;
  EXPECT_EQ(head["calls"], true);
  EXPECT_EQ(head["steps"][0]["ids"], Json({1, int64_t{1} << 40}));
  EXPECT_EQ(head["steps"][1], Json({{"op", "prefill"}, {"sequence", 0}, {"cancelled", true}}));
  EXPECT_EQ(head["steps"][4]["prediction"], 2);
  EXPECT_EQ(head["steps"][5]["prediction"], 3);
}

TEST_F(SessionProtocolTest, PassesWhatTheDocumentationSays) {
  const Verdict verdict = Judge();
  EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
  EXPECT_EQ(verdict.judged, 7 + 2) << "steps, and rows of different positions";
  const auto plan = Protocol().plan(Case(SessionSubject(), case_));
  const Json sequences = plan[kExact].derive(seen_).head["sequences"];
  EXPECT_EQ(sequences[0]["ids"], Json({1, 2, 0})) << "the exact model reads what was evaluated";
  EXPECT_EQ(plan[2].derive(seen_).head["sequences"][0]["chunks"], Json({2}));
}

TEST_F(SessionProtocolTest, AcceptedStalePredictionIsABug) {
  steps_[4] = Ok({{"length", 3}});
  ExpectBug("stale_prediction", ErrorClass::kState);
}

TEST_F(SessionProtocolTest, RefusedLivePredictionIsABug) {
  steps_[5] = Failed("refused");
  ExpectBug("decode", ErrorClass::kRejection);
}

TEST_F(SessionProtocolTest, RefusalThatChangesTheLengthIsABug) {
  steps_[5] = Ok({{"length", 4}});
  ExpectBug("length", ErrorClass::kState);
}

TEST_F(SessionProtocolTest, RefusalThatChangesTheLogitsIsABug) {
  rows_[6][1] += 0.5F;
  ExpectBug("session", ErrorClass::kNumeric);
}

TEST_F(SessionProtocolTest, PanicIsACrashAtItsRule) {
  steps_[4] = Failed("internal", "panic");
  ExpectBug("stale_prediction", ErrorClass::kPanic);
  EXPECT_EQ(Judge().kind, VerdictKind::kCrash);
}

TEST_F(SessionProtocolTest, RefusalWithoutATypeIsABug) {
  steps_[4] = Failed("refused", "");
  ExpectBug("stale_prediction", ErrorClass::kProtocol);
}

TEST_F(SessionProtocolTest, SelectingTwiceReadsTheSameBits) {
  rows_[3][0] += 1e-6F;
  ExpectBug("select_again", ErrorClass::kState);
}

TEST_F(SessionProtocolTest, CandidateIsTheFirstOfTheLargestOwnLogits) {
  rows_[2] = rows_[3] = {4, 1, 4};
  ExpectBug("select", ErrorClass::kToken);
}

TEST_F(SessionProtocolTest, NonfiniteLogitIsABug) {
  rows_[6][2] = std::numeric_limits<float>::infinity();
  ExpectBug("session", ErrorClass::kNonfinite);
}

TEST_F(SessionProtocolTest, MissingRowIsALie) {
  rows_.erase(6);
  ExpectBug("select", ErrorClass::kProtocol);
}

TEST_F(SessionProtocolTest, WrongNumberOfObservationsIsALie) {
  steps_.erase(6);
  ExpectBug("program", ErrorClass::kProtocol);
}

TEST_F(SessionProtocolTest, AnErrorTypeThatIsNoTextIsALie) {
  steps_[4]["error"]["type"] = 5;
  ExpectBug("program", ErrorClass::kProtocol);
}

TEST_F(SessionProtocolTest, AfterAnAcceptedCallOutOfOrderNothingIsForced) {
  case_.steps = {case_.steps[0], {.call = kSelect}, {.call = kDecode}};
  steps_ = {Ok({{"length", 0}}), Ok({{"token", 2}}), Ok({{"length", 1}})};
  EXPECT_TRUE(Judge().IsFinding());
  const auto plan = Protocol().plan(Case(SessionSubject(), case_));
  EXPECT_EQ(plan[kExact].derive(seen_).head["sequences"].size(), 1u) << "as `show` asks for it";
}

TEST_F(SessionProtocolTest, WithoutCountersNothingIsJudged) {
  counters_ = Json::object();
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(SessionProtocolTest, WhatTheEngineLacksIsUnsupported) {
  steps_[0] = Failed("unsupported", "");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

TEST_F(SessionProtocolTest, DeadEngineIsACrash) {
  seen_.replies[kEngine] = FailedReply(FailureKind::kDead, "signal 11");
  ExpectBug("program", ErrorClass::kCrash);
}

}  // namespace
}  // namespace crosscheck
