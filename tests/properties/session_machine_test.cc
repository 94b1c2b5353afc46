#include "properties/judges/session_machine.h"

#include <gtest/gtest.h>

#include <string>

namespace crosscheck {
namespace {

constexpr int kVocab = 5, kContext = 4;
using enum SessionCall;

SessionStep Open(std::vector<int32_t> ids, int max_tokens = 2, int sequence = 0) {
  SessionStep step{.call = kOpen, .sequence = sequence, .max_tokens = max_tokens};
  step.ids = std::move(ids);
  return step;
}
SessionStep Call(SessionCall call, int sequence = 0) {
  return {.call = call, .sequence = sequence};
}
SessionStep Decode(int32_t id, PredictionChoice prediction = PredictionChoice::kLatest,
                   int sequence = 0) {
  return {.call = kDecode, .sequence = sequence, .id = id, .prediction = prediction};
}

// Runs the program as an engine would that accepts whatever it may, but heeds cancellations.
struct Program {
  explicit Program(std::vector<SessionStep> program) : steps(std::move(program)) {
    for (size_t i = 0; i < steps.size(); ++i) {
      last = machine.Expect(steps, i);
      const bool cancelled =
          steps[i].call == kCancelledPrefill || steps[i].call == kCancelledDecode;
      machine.Advance(steps, i, last.allowed != Allowed::kRefused && !cancelled);
    }
  }
  std::vector<SessionStep> steps;
  SessionMachine machine{kVocab, kContext};
  SessionExpectation last;  // of the last step
};

void ExpectLast(Allowed allowed, const std::string& rule, std::vector<SessionStep> steps) {
  const Program program(std::move(steps));
  EXPECT_EQ(program.last.allowed, allowed) << rule;
  EXPECT_EQ(std::string(program.last.rule), rule);
}
void ExpectRefused(const std::string& rule, std::vector<SessionStep> steps) {
  ExpectLast(Allowed::kRefused, rule, std::move(steps));
}

TEST(SessionMachineTest, AnOrderlySessionEvaluatesPromptAndDecodedIds) {
  const Program program({Open({1, 2}), Call(kPrefill), Call(kSelect), Decode(4), Call(kSelect),
                         Call(kFinish), Call(kReset)});
  EXPECT_EQ(program.last.allowed, Allowed::kAccepted);
  ASSERT_EQ(program.machine.histories().size(), 1u);
  const SessionHistory& history = program.machine.histories()[0];
  EXPECT_EQ(history.ids, (std::vector<int64_t>{1, 2, 4}));
  EXPECT_EQ(history.prompt, 2u);
  ASSERT_EQ(history.selects.size(), 2u);
  EXPECT_EQ(history.selects[0].position, 1);
  EXPECT_EQ(history.selects[1].step, 4);
  EXPECT_EQ(history.selects[1].position, 2);
}

TEST(SessionMachineTest, LengthsAreThoseOfTheEvaluatedTokens) {
  EXPECT_EQ(Program({Open({1, 2}), Call(kPrefill)}).last.length, 2);
  EXPECT_EQ(Program({Open({1, 2}), Call(kPrefill), Call(kSelect), Decode(4)}).last.length, 3);
}

TEST(SessionMachineTest, OpenRefusesWhatTheModelCannotServe) {
  SessionStep empty = Open({1, 2});
  empty.fault = IdFault::kEmpty;
  ExpectRefused("empty_prompt", {empty});
  for (const IdFault fault :
       {IdFault::kNegative, IdFault::kVocab, IdFault::kVocabPlusOne, IdFault::kHuge}) {
    SessionStep open = Open({1, 2});
    open.fault = fault;
    ExpectRefused("open_id", {open});
  }
  ExpectRefused("open_context", {Open({1, 2, 3}, 2)});
  ExpectLast(Allowed::kAccepted, "open", {Open({1, 2, 3}, 1)});
  ExpectLast(Allowed::kEither, "open_context", {Open({1, 2, 3, 4, 0}, 0)});
}

TEST(SessionMachineTest, CallsOutOfOrderAreRefused) {
  ExpectRefused("select_before_prefill", {Open({1}), Call(kSelect)});
  ExpectRefused("second_prefill", {Open({1}), Call(kPrefill), Call(kPrefill)});
  ExpectRefused("prefill_after_finish", {Open({1}), Call(kFinish), Call(kPrefill)});
  ExpectRefused("select_after_finish", {Open({1}), Call(kPrefill), Call(kFinish), Call(kSelect)});
  ExpectRefused("decode_after_finish",
                {Open({1}), Call(kPrefill), Call(kSelect), Call(kFinish), Decode(1)});
  ExpectRefused("second_finish", {Open({1}), Call(kFinish), Call(kFinish)});
  ExpectRefused("no_session", {Call(kPrefill)});
  ExpectRefused("no_session", {Open({1}), Call(kReset), Call(kPrefill)});
  ExpectRefused("no_prediction", {Open({1}), Call(kPrefill), Decode(1)});
  EXPECT_TRUE(Program({Open({1}), Call(kPrefill), Decode(1)}).last.by_adapter);
}

TEST(SessionMachineTest, OnlyTheLivePredictionOfASessionIsTaken) {
  ExpectRefused("stale_prediction",
                {Open({1}), Call(kPrefill), Call(kSelect), Decode(1), Decode(2)});
  ExpectRefused("stale_prediction", {Open({1}), Call(kPrefill), Call(kSelect), Call(kSelect),
                                     Decode(1, PredictionChoice::kOlder)});
  ExpectRefused("foreign_prediction",
                {Open({1}), Call(kPrefill), Call(kSelect), Open({2}, 2, 1), Call(kPrefill, 1),
                 Call(kSelect, 1), Decode(1, PredictionChoice::kOther, 1)});
  ExpectRefused("stale_prediction",
                {Open({1}), Call(kPrefill), Call(kSelect), Open({1}), Call(kPrefill), Decode(1)});
}

TEST(SessionMachineTest, DecodeRefusesIdsOutsideTheVocabularyAndPositionsBeyondTheContext) {
  SessionStep outside = Decode(0);
  outside.fault = IdFault::kVocab;
  ExpectRefused("decode_id", {Open({1}), Call(kPrefill), Call(kSelect), outside});
  ExpectRefused("decode_context",
                {Open({1, 2, 3, 4}, 0), Call(kPrefill), Call(kSelect), Decode(1)});
  ExpectRefused("prefill_context", {Open({1, 2, 3, 4, 0}, 0), Call(kPrefill)});
  ExpectLast(Allowed::kEither, "decode_beyond_budget",
             {Open({1}, 0), Call(kPrefill), Call(kSelect), Decode(1)});
}

TEST(SessionMachineTest, ARefusalLeavesTheSessionAsItWas) {
  const Program program({Open({1, 2}), Call(kSelect), Call(kPrefill), Call(kPrefill), Call(kSelect),
                         Decode(3, PredictionChoice::kOlder), Decode(4)});
  EXPECT_EQ(program.last.allowed, Allowed::kAccepted);
  EXPECT_EQ(program.last.length, 3);
  EXPECT_EQ(program.machine.histories()[0].ids, (std::vector<int64_t>{1, 2, 4}));
}

TEST(SessionMachineTest, ACancelledCallMayEndTheRequestButEvaluatesNothing) {
  const Program prefill({Open({1, 2}), Call(kCancelledPrefill), Call(kPrefill)});
  EXPECT_EQ(prefill.last.allowed, Allowed::kEither);
  EXPECT_EQ(prefill.last.length, 2);
  SessionStep cancelled = Decode(3);
  cancelled.call = kCancelledDecode;
  ExpectRefused("select_before_prefill", {Open({1, 2}), Call(kCancelledPrefill), Call(kSelect)});
  const Program decode({Open({1}), Call(kPrefill), Call(kSelect), cancelled, Decode(4)});
  EXPECT_EQ(decode.last.allowed, Allowed::kEither);
  EXPECT_EQ(decode.last.length, 2);
  // A fresh prediction is beyond doubt.
  ExpectLast(Allowed::kAccepted, "decode",
             {Open({1}), Call(kPrefill), Call(kSelect), cancelled, Call(kSelect), Decode(4)});
}

TEST(SessionMachineTest, SessionsOfTwoSequencesAreIndependent) {
  const Program program({Open({1}), Open({2, 3}, 2, 1), Call(kPrefill), Call(kPrefill, 1),
                         Call(kSelect, 1), Call(kFinish), Decode(4, PredictionChoice::kLatest, 1)});
  EXPECT_EQ(program.last.length, 3);
  ASSERT_EQ(program.machine.histories().size(), 2u);
  EXPECT_EQ(program.machine.histories()[0].ids, (std::vector<int64_t>{1}));
  EXPECT_EQ(program.machine.histories()[1].ids, (std::vector<int64_t>{2, 3, 4}));
}

TEST(SessionMachineTest, ThePromptPathIsJudgedWhereNoSessionBorrowsTheModel) {
  SessionStep prompt = Open({1, 2});
  prompt.call = kPrompt;
  ExpectLast(Allowed::kAccepted, "prompt", {prompt});
  ExpectLast(Allowed::kEither, "prompt_while_open", {Open({1}), prompt});
  prompt.fault = IdFault::kVocab;
  ExpectRefused("prompt_id", {prompt});
}

}  // namespace
}  // namespace crosscheck
