// Near ties of a router: what lies before them is judged, the rest is counted.
#include "properties/judges/router.h"

#include <gtest/gtest.h>

#include <cmath>

#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

constexpr int kVocab = 5;
constexpr int kExperts = 3;
constexpr size_t kEngine = 0, kExact = 1, kFp32 = 3, kReversed = 4, kPairwise = 5;

std::shared_ptr<const ModelRecipe> FakeMixture(int experts_per_token) {
  auto recipe = std::make_shared<ModelRecipe>(*FakeModel(kVocab));
  recipe->spec.family = Family::kQwen35Moe;
  recipe->spec.experts = kExperts;
  recipe->spec.experts_per_token = experts_per_token;
  recipe->spec.shared_intermediate = 1;
  return recipe;
}

// Router logits [layers, positions, experts] of sequence `index`.
template <class T>
void AddRouter(Reply& reply, size_t index, const std::vector<std::vector<std::vector<T>>>& router) {
  std::vector<T> values;
  for (const auto& layer : router) {
    for (const auto& row : layer) values.insert(values.end(), row.begin(), row.end());
  }
  reply.message.tensors.push_back(MakeTensor(
      "router." + std::to_string(index),
      {static_cast<int64_t>(router.size()), static_cast<int64_t>(router[0].size()), kExperts},
      absl::MakeConstSpan(values)));
}

TEST(RouterMarginTest, IsTheGapBetweenTheLastChosenAndTheFirstRejected) {
  const double logits[] = {1, 4, 2.5, 4};
  EXPECT_EQ(RouterMargin(logits, 1), 0);
  EXPECT_EQ(RouterMargin(logits, 2), 1.5);
  EXPECT_EQ(RouterMargin(logits, 3), 1.5);
  EXPECT_EQ(RouterMargin(logits, 4), INFINITY);
}

// One sequence of three tokens on the readout path of a model of two layers, top 1 of 3 experts. In
// the second layer the margin at position 1 is `margin`, all others are 1.
class RouterTiesTest : public testing::Test {
 protected:
  RouterTiesTest() {
    run_.model = FakeMixture(1);
    run_.path = ModelPath::kReadout;
    run_.sequences = {Sequence({1, 2, 3})};
    rows_ = {{{0, 1, 2}, {{1, 2, 3, 4, 8}, {2, -1, 0, 1, 5}, {0, 0.5, 1, -7, 2}}}};
  }

  template <class T>
  Reply Answer(double margin, double router_error = 0) const {
    Reply reply = LogitsReply<T>(rows_, {{"readout", 1}});
    const T one = static_cast<T>(1 + router_error);
    AddRouter<T>(reply, 0,
                 {{{3, 2, 1}, {1, 3, 2}, {0, one, -1}},
                  {{2, 1, 0}, {0, one, static_cast<T>(1 - margin)}, {1, 0, 2}}});
    return reply;
  }
  // The engine's logits are wrong by `error` at a position.
  Verdict Judge(double margin, size_t position, double error, double router_error = 0) {
    FakeObservations seen;
    seen.replies[kExact] = Answer<double>(margin);
    for (size_t i : {kFp32, kReversed, kPairwise}) {
      seen.replies[i] = Answer<float>(margin, i == kFp32 ? router_error : 0);
    }
    std::vector<Rows> rows = rows_;
    rows[0].logits[position][3] += error;
    seen.replies[kEngine] = LogitsReply<float>(rows, {{"readout", 1}});
    return FindProperty("logit_closeness")->judge(Case(ModelRunSubject(), run_), seen);
  }

  ModelRunCase run_;
  std::vector<Rows> rows_;
};

TEST_F(RouterTiesTest, WideMarginsAreJudgedToTheEnd) {
  const Verdict clean = Judge(0.5, 0, 0);
  EXPECT_EQ(clean.kind, VerdictKind::kPass) << clean.message;
  EXPECT_EQ(clean.judged, 3);
  EXPECT_EQ(clean.near_ties, 0);
  for (size_t position : {0, 1, 2}) {
    EXPECT_EQ(Judge(0.5, position, 0.1).kind, VerdictKind::kEngineBug) << position;
  }
}

TEST_F(RouterTiesTest, FromANearTieOnNothingIsJudgedButCounted) {
  for (size_t position : {1, 2}) {
    const Verdict verdict = Judge(1e-9, position, 0.1);
    EXPECT_EQ(verdict.kind, VerdictKind::kNearTie) << verdict.message;
    EXPECT_EQ(verdict.near_ties, 2);
    EXPECT_EQ(verdict.judged, 1);
  }
}

TEST_F(RouterTiesTest, WhatLiesBeforeANearTieIsJudged) {
  const Verdict verdict = Judge(1e-9, 0, 0.1);
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.near_ties, 2);
}

TEST_F(RouterTiesTest, TheRoutersErrorOfReferencesDecidesWhatIsNear) {
  EXPECT_EQ(Judge(0.01, 2, 0.1).kind, VerdictKind::kEngineBug);
  EXPECT_EQ(Judge(0.01, 2, 0.1, 1e-5).kind, VerdictKind::kEngineBug);
  EXPECT_EQ(Judge(0.01, 2, 0.1, 0.005).kind, VerdictKind::kNearTie);
}

TEST_F(RouterTiesTest, ErrorsOfReferencesBehindTheTieDoNotMoveIt) {
  // The error of 5e-3 shows at positions 1 and 2; position 0 has a margin of 1 in both layers.
  const Verdict verdict = Judge(0, 0, 0.1, 0.005);
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
}

TEST_F(RouterTiesTest, ATieWithAllExpertsChosenIsNone) {
  run_.model = FakeMixture(kExperts);
  EXPECT_EQ(Judge(0, 0, 0).kind, VerdictKind::kPass);
  EXPECT_EQ(Judge(0, 2, 0.1).kind, VerdictKind::kEngineBug);
}

TEST_F(RouterTiesTest, ATieAtTheFirstPositionLeavesNothingToJudge) {
  FakeObservations seen;
  Reply exact = LogitsReply<double>(rows_, {{"readout", 1}});
  AddRouter<double>(exact, 0,
                    {{{1, 1, 0}, {1, 3, 2}, {0, 1, -1}}, {{2, 1, 0}, {2, 1, 0}, {1, 0, 2}}});
  for (size_t i : {kExact, kFp32, kReversed, kPairwise}) seen.replies[i] = exact;
  seen.replies[kEngine] = LogitsReply<float>(rows_, {{"readout", 1}});
  const Verdict verdict =
      FindProperty("logit_closeness")->judge(Case(ModelRunSubject(), run_), seen);
  EXPECT_EQ(verdict.kind, VerdictKind::kNearTie);
  EXPECT_EQ(verdict.near_ties, 3);
  EXPECT_EQ(verdict.judged, 0);
}

TEST_F(RouterTiesTest, Fp64ReferencesAreComparedBeforeExactTiesOnly) {
  const auto read = [&](double margin) { return *ReadExact(Answer<double>(margin).message, run_); };
  int dropped = 0;
  BeforeFp64Ties(read(1e-5), 1, read(1e-5), dropped);
  EXPECT_EQ(dropped, 0);
  BeforeFp64Ties(read(0), 1, read(0), dropped);
  EXPECT_EQ(dropped, 2);
}

// Greedy generation: tokens chosen at or behind the tie are no decisions any more.
TEST(RouterTiesOfGreedyTest, WrongTokensBehindATieAreCounted) {
  ModelRunCase run{.model = FakeMixture(1), .sequences = {Sequence({1}, 2)}};
  const auto judge = [&](double margin, int first, int second) {
    const std::vector<Rows> rows = {
        {{0, 1, 2}, {{0, 1, 2, 3, 8}, {0, 5, 1, 2, 3}, {0, 1, 1, 1, 1}}}};
    FakeObservations seen;
    seen.replies[0].message.head = {{"ok", true},
                                    {"ids", {first, second}},
                                    {"stop", "length"},
                                    {"counters", {{"generated", 2}}}};
    const std::vector<Rows> steps = {{{0, 1, 2}, rows[0].logits}};
    for (size_t i : {1, 3, 4, 5}) {
      seen.replies[i] =
          LogitsReply<double>(i == 1 ? rows : steps, {{"readout", 1}, {"prefill", 1}, {"step", 1}});
      AddRouter<double>(
          seen.replies[i], 0,
          {{{1, 2, 0}, {0, 1, 1 - margin}, {0, 1, 3}}, {{2, 1, 0}, {2, 1, 0}, {1, 0, 2}}});
    }
    return FindProperty("greedy_prefix")->judge(Case(ModelRunSubject(), run), seen);
  };
  EXPECT_EQ(judge(0.5, 4, 1).kind, VerdictKind::kPass);
  EXPECT_EQ(judge(0.5, 4, 3).kind, VerdictKind::kEngineBug);
  const Verdict verdict = judge(0, 4, 3);
  EXPECT_EQ(verdict.kind, VerdictKind::kNearTie) << verdict.message;
  EXPECT_EQ(verdict.near_ties, 1);
  EXPECT_EQ(verdict.judged, 1);
  EXPECT_EQ(judge(0, 2, 1).kind, VerdictKind::kEngineBug);
}

}  // namespace
}  // namespace crosscheck
