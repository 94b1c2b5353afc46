#include <gtest/gtest.h>

#include <cmath>

#include "properties/property.h"
#include "properties/subjects/generation.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 4;  // end of sequence is id 0
constexpr size_t kGenerate = 0, kOwnLogits = 1, kStream = 2;

const Property& Contract() { return *FindProperty("generation_contract"); }

double LogP(const std::vector<double>& row, size_t id) {
  double sum = 0;
  for (const double logit : row) sum += std::exp(logit);
  return row[id] - std::log(sum);
}

// Prompt 1 2, budget 3: the engine's own logits choose 3, then 1, then end of sequence.
class GenerationContractTest : public testing::Test {
 protected:
  GenerationContractTest() {
    auto model = std::make_shared<ModelRecipe>(*FakeModel(kVocab));
    model->spec.max_positions = 16;
    case_.model = model;
    case_.ids = {1, 2};
    case_.max_tokens = 3;
    rows_ = {{1, 2, 3, 4}, {0, 5, 1, 1}, {9, 1, 1, 1}};
    head_ = {{"ok", true},
             {"ids", {3, 1}},
             {"stop", "eos"},
             {"counters", {{"generated", 2}, {"opened", 3}, {"consumed", 2}}}};
    log_probs_ = {LogP(rows_[0], 3), LogP(rows_[1], 1)};
  }

  Reply Answer() const {
    Reply reply;
    reply.message.head = head_;
    if (case_.log_probs) {
      const std::vector<float> narrow(log_probs_.begin(), log_probs_.end());
      reply.message.tensors.push_back(MakeTensor("logprobs", {static_cast<int64_t>(narrow.size())},
                                                 absl::MakeConstSpan(narrow)));
    }
    return reply;
  }

  Verdict Judge() {
    seen_.replies.try_emplace(kGenerate, Answer());
    Rows rows{{}, rows_};
    for (int i = 0; i < static_cast<int>(rows_.size()); ++i) rows.positions.push_back(i + 1);
    seen_.replies.try_emplace(kOwnLogits,
                              LogitsReply<float>({rows}, {{"prefill", 2}, {"step", 2}}));
    return Contract().judge(Case(GenerationSubject(), case_), seen_);
  }
  void ExpectBug(const char* stage) {
    const Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug) << stage;
    EXPECT_EQ(verdict.signature.stage, stage) << verdict.message;
  }
  void ExpectPass() {
    const Verdict verdict = Judge();
    EXPECT_EQ(verdict.kind, VerdictKind::kPass) << verdict.message;
    EXPECT_GT(verdict.judged, 0);
  }

  GenerationCase case_;
  std::vector<std::vector<double>> rows_;
  std::vector<double> log_probs_;
  Json head_;
  FakeObservations seen_;
};

TEST_F(GenerationContractTest, PlanAsksForStreamingOnlyWhenTheCaseDoes) {
  EXPECT_EQ(Contract().plan(Case(GenerationSubject(), case_)).size(), 2u);
  case_.stream = case_.sampled = true;
  case_.temperature = 0.5;
  const auto plan = Contract().plan(Case(GenerationSubject(), case_));
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_EQ(plan[kGenerate].request.head["stream"], false);
  EXPECT_EQ(plan[kStream].request.head["stream"], true);
  EXPECT_EQ(plan[kStream].request.head["sampling"]["temperature"], 0.5);
}

TEST_F(GenerationContractTest, PassesAnEndByEndOfSequence) { ExpectPass(); }

TEST_F(GenerationContractTest, EndOfSequenceIsNoToken) {
  head_["ids"] = {3, 1, 0};
  ExpectBug("ids");
}

TEST_F(GenerationContractTest, StopIdIsNoToken) {
  case_.stop = {1};
  ExpectBug("ids");
}

TEST_F(GenerationContractTest, MoreTokensThanTheBudgetAreABug) {
  case_.max_tokens = 1;
  ExpectBug("budget");
}

TEST_F(GenerationContractTest, EndByLengthBeforeTheBudgetIsABug) {
  head_["stop"] = "length";
  ExpectBug("reason");
}

TEST_F(GenerationContractTest, EndByEndOfSequenceWhereAnotherTokenIsNextIsABug) {
  rows_[2] = {1, 9, 1, 1};
  ExpectBug("reason");
}

TEST_F(GenerationContractTest, EndByStopIdNeedsThatIdNext) {
  head_["stop"] = "stop";
  ExpectBug("reason");
  seen_.replies.clear();
  case_.stop = {2};
  ExpectBug("reason");
  seen_.replies.clear();
  rows_[2] = {1, 1, 9, 1};
  ExpectPass();
}

TEST_F(GenerationContractTest, TokenThatIsNotTheLargestOwnLogitIsABug) {
  head_["ids"] = {3, 2};
  ExpectBug("choice");
}

TEST_F(GenerationContractTest, SampledTokensNeedNotBeTheLargest) {
  case_.sampled = true;
  head_["ids"] = {3, 2};
  ExpectPass();
}

TEST_F(GenerationContractTest, BudgetOfZeroGivesNothingByLength) {
  case_.max_tokens = 0;
  head_ = {{"ok", true},
           {"ids", Json::array()},
           {"stop", "length"},
           {"counters", {{"opened", 0}, {"consumed", 0}}}};
  ExpectPass();
  EXPECT_EQ(seen_.looks[kOwnLogits], 0);
  seen_.replies.clear();
  head_["stop"] = "eos";
  ExpectBug("reason");
}

TEST_F(GenerationContractTest, PredictionsAreOneMoreThanConsumed) {
  head_["counters"]["consumed"] = 3;
  ExpectBug("trace");
}

TEST_F(GenerationContractTest, LogProbsAreThoseOfTheOwnLogits) {
  case_.log_probs = true;
  ExpectPass();
  seen_.replies.clear();
  log_probs_[1] += 1e-5;
  ExpectBug("logprobs");
  seen_.replies.clear();
  log_probs_[1] = std::nan("");
  ExpectBug("logprobs");
  seen_.replies.clear();
  log_probs_.pop_back();
  ExpectBug("logprobs");
}

TEST_F(GenerationContractTest, LogProbsOfSampledTokensAreScaledByTheTemperature) {
  case_.log_probs = case_.sampled = true;
  case_.temperature = 0.5;
  ExpectBug("logprobs");
  seen_.replies.clear();
  for (auto& row : rows_) {
    for (double& logit : row) logit /= 2;
  }
  ExpectPass();
}

TEST_F(GenerationContractTest, StreamIsTheWholeAnswer) {
  case_.stream = true;
  Reply streamed = Answer();
  streamed.message.head["streamed"] = {3, 1};
  seen_.replies[kStream] = streamed;
  ExpectPass();
  seen_.replies[kStream].message.head["streamed"] = {3};
  ExpectBug("stream");
  seen_.replies[kStream] = streamed;
  seen_.replies[kStream].message.head["stop"] = "length";
  ExpectBug("stream");
}

TEST_F(GenerationContractTest, BeyondTheContextATypedRefusalAndAnEndByLengthAreRight) {
  case_.max_tokens = 15;
  seen_.replies[kGenerate] = FailedReply(FailureKind::kRefused, "too long", "Inference");
  ExpectPass();
  seen_.replies[kGenerate] = FailedReply(FailureKind::kRefused, "too long");
  ExpectBug("generate");
  case_.max_tokens = 14;
  seen_.replies[kGenerate] = FailedReply(FailureKind::kRefused, "too long", "Inference");
  ExpectBug("generate");
}

TEST_F(GenerationContractTest, WhatTheEngineLacksIsUnsupported) {
  seen_.replies[kGenerate] = FailedReply(FailureKind::kUnsupported, "stop_strings");
  EXPECT_EQ(Judge().kind, VerdictKind::kUnsupported);
}

}  // namespace
}  // namespace crosscheck
