#include "properties/judges/greedy.h"

#include <gtest/gtest.h>

#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

Generated Answer(std::vector<int32_t> ids, std::string stop = "length") {
  return {std::move(ids), std::move(stop), true};
}

TEST(GreedyTest, DecisionsAreJudgedOnTheEnginesOwnPrefixToTheEnd) {
  ModelRunCase forced{.model = FakeModel(4), .path = ModelPath::kSession, .sequences = {}};
  forced.sequences = {Sequence({1, 2, 3, 1})};  // prompt of two, two tokens
  LogitsAnswer exact;
  exact.sequences = {{{0, 1, 2, 3}, 4, {9, 9, 9, 9, 0, 5, 1, 4.5, 0, 3, 1, 1, 7, 0, 0, 0}}};
  auto decisions = Decisions(forced, {2}, {Answer({3, 1}, "eos")}, exact);
  ASSERT_EQ(decisions.size(), 3u);
  EXPECT_EQ(decisions[0].position, 1);
  EXPECT_EQ(decisions[0].best, 1);
  EXPECT_EQ(decisions[0].gap, 0.5);
  EXPECT_EQ(decisions[1].position, 2);
  EXPECT_EQ(decisions[1].gap, 0);
  EXPECT_EQ(decisions[2].token, 0);  // the end of sequence is a choice like any other
  EXPECT_EQ(decisions[2].gap, 0);
  EXPECT_EQ(DecisionRows(decisions, 1).sequences[0].positions, (std::vector<int>{1, 2, 3}));
}

TEST(GreedyTest, MalformedGenerationsAreNamed) {
  ModelSpec spec = FakeModel(4)->spec;
  EXPECT_EQ(MalformedGeneration(Answer({1, 2}), 2, spec), "");
  EXPECT_EQ(MalformedGeneration(Answer({1}, "eos"), 2, spec), "");
  EXPECT_EQ(MalformedGeneration(Answer({}, "eos"), 2, spec), "");
  EXPECT_NE(MalformedGeneration(Answer({1, 2, 3}), 2, spec), "");
  EXPECT_NE(MalformedGeneration(Answer({1, 4}), 2, spec), "");
  EXPECT_NE(MalformedGeneration(Answer({1, -1}), 2, spec), "");
  EXPECT_NE(MalformedGeneration(Answer({1, 0}), 2, spec), "") << "end of sequence inside";
  EXPECT_NE(MalformedGeneration(Answer({1}), 2, spec), "") << "stopped early for no reason";
  EXPECT_NE(MalformedGeneration(Answer({1}, "stop"), 2, spec), "");
  spec.eos = -1;
  EXPECT_NE(MalformedGeneration(Answer({1}, "eos"), 2, spec), "");
}

TEST(GreedyTest, AnswersWithoutIdsOrStopReasonAreLies) {
  Message answer;
  answer.head = {{"ids", {1, 2}}, {"stop", "length"}, {"counters", {{"generated", 2}}}};
  ASSERT_TRUE(ReadGenerated(answer).ok());
  EXPECT_TRUE(ReadGenerated(answer)->counted);
  answer.head["counters"] = {{"generated", 0}};
  EXPECT_FALSE(ReadGenerated(answer)->counted);
  answer.head["counters"] = 7;
  ASSERT_TRUE(ReadGenerated(answer).ok());
  EXPECT_FALSE(ReadGenerated(answer)->counted);
  answer.head["ids"] = {1, 1.5};
  EXPECT_FALSE(ReadGenerated(answer).ok());
  answer.head["ids"] = 3;
  EXPECT_FALSE(ReadGenerated(answer).ok());
  answer.head["ids"] = {1};
  answer.head["stop"] = "tired";
  EXPECT_FALSE(ReadGenerated(answer).ok());
  answer.head.erase("stop");
  EXPECT_FALSE(ReadGenerated(answer).ok());
}

TEST(GreedyTest, TheTieRuleIsJudgedOnTheEnginesOwnLogits) {
  Decision decision{.sequence = 0, .step = 0, .position = 0, .token = 2, .best = 1, .gap = 0};
  EXPECT_TRUE(BreaksTieRule(decision, {0.0, 5.0, 5.0}));
  EXPECT_FALSE(BreaksTieRule(decision, {0.0, 5.0, 5.000001})) << "rounded apart: a near tie";
  EXPECT_FALSE(BreaksTieRule(decision, {6.0, 5.0, 5.0})) << "equal, but not the largest";
}

}  // namespace
}  // namespace crosscheck
