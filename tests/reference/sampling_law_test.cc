#include "reference/sampling_law.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace crosscheck {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

constexpr double kMasked = -std::numeric_limits<double>::infinity();

SamplingLaw Law(const std::vector<double>& logits, const SamplingParameters& parameters,
                const SamplingOrder& order = kLatticeOrder,
                const std::vector<int32_t>& history = {}) {
  auto law = LawOfDraw(logits, parameters, history, order);
  EXPECT_TRUE(law.ok()) << law.status();
  return law.ok() ? *std::move(law) : SamplingLaw();
}

// The law of a case that no rounding leaves open.
std::vector<double> Only(const std::vector<double>& logits, const SamplingParameters& parameters,
                         const SamplingOrder& order = kLatticeOrder,
                         const std::vector<int32_t>& history = {}) {
  const SamplingLaw law = Law(logits, parameters, order, history);
  EXPECT_EQ(law.readings.size(), 1u);
  return law.readings.empty() ? std::vector<double>() : law.readings[0].p;
}

auto Near(std::vector<double> p) { return Pointwise(DoubleNear(1e-12), std::move(p)); }

std::vector<double> Logs(std::vector<double> p) {
  for (double& value : p) value = std::log(value);
  return p;
}

TEST(SamplingLawTest, NeutralParametersAreTheSoftmax) {
  EXPECT_THAT(Only(Logs({0.1, 0.6, 0.3}), {}), Near({0.1, 0.6, 0.3}));
  EXPECT_THAT(Only({0, kMasked, 0}, {}), Near({0.5, 0, 0.5}));
}

TEST(SamplingLawTest, TemperatureIsAPowerOfTheLaw) {
  EXPECT_THAT(Only(Logs({0.2, 0.8}), {.temperature = 0.5}), Near({0.04 / 0.68, 0.64 / 0.68}));
}

TEST(SamplingLawTest, DegenerateTemperatureTakesTheFirstOfTheLargest) {
  EXPECT_THAT(Only({1, 3, 3}, {.temperature = 0}), ElementsAre(0, 1, 0));
  EXPECT_THAT(Only({1, 3, 3}, {.temperature = 1e-36}), ElementsAre(0, 1, 0));
  EXPECT_THAT(Only({1, 3, 3}, {.temperature = 1e-36}, kHuggingFaceOrder), ElementsAre(0, 0.5, 0.5));
}

TEST(SamplingLawTest, TopKKeepsLowerIdsOrAllTies) {
  EXPECT_THAT(Only({1, 2, 2, 2}, {.top_k = 2}), Near({0, 0.5, 0.5, 0}));
  EXPECT_THAT(Only({1, 2, 2, 2}, {.top_k = 2}, kHuggingFaceOrder),
              Near({0, 1. / 3, 1. / 3, 1. / 3}));
  for (const int64_t off : {0, 4, 5}) {
    EXPECT_THAT(Only({0, 0, 0, 0}, {.top_k = off}), Near({0.25, 0.25, 0.25, 0.25})) << off;
  }
}

TEST(SamplingLawTest, TopPKeepsTheTokenThatCrosses) {
  const std::vector<double> logits = Logs({0.5, 0.3, 0.15, 0.05});
  EXPECT_THAT(Only(logits, {.top_p = 0.6}), Near({0.625, 0.375, 0, 0}));
  EXPECT_THAT(Only(logits, {.top_p = 0}), Near({1, 0, 0, 0}));
  EXPECT_THAT(Only(logits, {.top_p = 1}), Near({0.5, 0.3, 0.15, 0.05}));
}

TEST(SamplingLawTest, MassEqualToTopPIsTestedBothWays) {
  const SamplingLaw law = Law({0, 0, 0, 0}, {.top_p = 0.5});
  ASSERT_EQ(law.readings.size(), 2u);
  EXPECT_THAT(law.readings[0].p, Near({0.5, 0.5, 0, 0}));
  EXPECT_THAT(law.readings[1].p, Near({1. / 3, 1. / 3, 1. / 3, 0}));
}

TEST(SamplingLawTest, RatioEqualToMinPIsTestedBothWays) {
  const SamplingLaw law = Law(Logs({0.5, 0.25, 0.25}), {.min_p = 0.5});
  ASSERT_EQ(law.readings.size(), 2u);
  EXPECT_THAT(law.readings[0].p, Near({1, 0, 0}));
  EXPECT_THAT(law.readings[1].p, Near({0.5, 0.25, 0.25}));
  EXPECT_THAT(Only({2, 2, 1}, {.min_p = 1}), Near({0.5, 0.5, 0}));
}

TEST(SamplingLawTest, OrderOfMinPAndTopPChangesTheLaw) {
  // min-p leaves 0.5 and 0.2: their shares are 0.714 and 0.286.
  const std::vector<double> logits = Logs({0.5, 0.2, 0.1, 0.1, 0.1});
  const SamplingParameters parameters{.top_p = 0.71, .min_p = 0.3};
  EXPECT_THAT(Only(logits, parameters), Near({1, 0, 0, 0, 0}));
  EXPECT_THAT(Only(logits, parameters, kHuggingFaceOrder), Near({5. / 7, 2. / 7, 0, 0, 0}));
}

TEST(SamplingLawTest, PenaltyCountsEachIdOnceAndDependsOnTheSign) {
  const SamplingParameters parameters{.repetition_penalty = 2};
  EXPECT_THAT(Only({2, -1, 0}, parameters, kLatticeOrder, {0, 1, 1, 0, 7, -1}),
              Near(Only({1, -2, 0}, {})));
}

TEST(SamplingLawTest, NearTiesAtRankKAreOneOutcome) {
  const double next = std::nextafter(40.0f, 41.0f);
  const SamplingLaw law = Law({50, 40, next}, {.temperature = 1.3, .top_k = 2});
  ASSERT_EQ(law.readings.size(), 1u);
  EXPECT_EQ(law.readings[0].outcome, (std::vector<int32_t>{0, 2, 2}));
  EXPECT_EQ(law.readings[0].p[1], 0);
  EXPECT_GT(law.readings[0].p[2], 0);
  EXPECT_EQ(law.readings[0].below[1], law.readings[0].below[2]);
  // Ties that are kept as a whole may be two tokens or three.
  EXPECT_EQ(
      Law({50, 40, next}, {.temperature = 1.3, .top_k = 2}, kHuggingFaceOrder).readings.size(), 2u);
  // Unscaled logits are compared as they are.
  EXPECT_EQ(Law({50, 40, next}, {.top_k = 2}).readings[0].outcome, (std::vector<int32_t>{0, 1, 2}));
}

TEST(SamplingLawTest, NearTiesCutByTopPAreOneOutcome) {
  std::vector<double> logits = {1, 1, 1, 1};
  for (size_t i = 1; i < logits.size(); ++i) logits[i] = std::nextafterf(logits[i - 1], 2);
  const SamplingLaw law = Law(logits, {.temperature = 1.3, .top_p = 0.6});
  ASSERT_EQ(law.readings.size(), 1u);
  EXPECT_EQ(law.readings[0].outcome, (std::vector<int32_t>{3, 3, 3, 3}));
  EXPECT_NEAR(law.readings[0].p[3], 1, 1e-12);
}

TEST(SamplingLawTest, PenaltyRoundsNumbersThatAreNearlyZero) {
  const double tiny = 2 * 0x1p-149;
  EXPECT_EQ(Law({tiny, tiny}, {.temperature = 0, .repetition_penalty = 1.1}, kLatticeOrder, {0})
                .readings.size(),
            2u);
}

TEST(SamplingLawTest, GreedyNearTieOfPenalisedLogitsIsOpen) {
  const std::vector<double> logits = {1.1f, 1.0};
  EXPECT_EQ(Law(logits, {.temperature = 0, .repetition_penalty = 1.1f}, kLatticeOrder, {0})
                .readings.size(),
            2u);
  EXPECT_EQ(Law(logits, {.temperature = 0}).readings.size(), 1u);
}

TEST(SamplingLawTest, InverseCdfRunsOverDecreasingProbability) {
  const LawReading reading = Law(Logs({0.1, 0.6, 0.3}), {}).readings[0];
  EXPECT_THAT(reading.below, Near({0.9, 0, 0.6}));
  EXPECT_THAT(reading.up_to, Near({1, 0.6, 0.9}));
  const LawReading tied = Law({0, 0}, {}).readings[0];
  EXPECT_THAT(tied.below, Near({0, 0.5}));
}

TEST(SamplingLawTest, LogitsRankAsTheyAreWhereTheirDifferenceVanishes) {
  const LawReading reading = Law({1, 1e-45, 3e-45}, {}).readings[0];
  // In exact arithmetic token 2 comes first; probabilities that are equal after rounding are
  // ordered by id.
  EXPECT_EQ(reading.below[1], reading.below[2]);
  const LawReading halves = Law({0, 1e-30}, {}).readings[0];
  EXPECT_EQ(halves.below[0], 0);
  EXPECT_EQ(halves.up_to[1], 1);
  EXPECT_THAT(Only({1e-45, 3e-45}, {.temperature = 0}), ElementsAre(0, 1));
}

TEST(SamplingLawTest, ExtremeMagnitudesLeaveTiesAndWinners) {
  EXPECT_THAT(Only({3e38, -3e38, 3e38, 0}, {.temperature = 0.1}), Near({0.5, 0, 0.5, 0}));
  EXPECT_THAT(Only({1e-30, 0}, {.temperature = 100}), Near({0.5, 0.5}));
  EXPECT_LT(Law({3e38, 3e38}, {.temperature = 2}).cumulative_error, 1e-5);
}

TEST(SamplingLawTest, CumulativeErrorIsOfTheOrderOfSinglePrecision) {
  const double error = Law(Logs({0.1, 0.6, 0.3}), {.temperature = 0.7}).cumulative_error;
  EXPECT_GT(error, 0x1p-24);
  EXPECT_LT(error, 1e-5);
}

TEST(SamplingLawTest, WhatNoLawFollowsFromIsAnError) {
  for (const std::vector<double>& logits :
       {std::vector<double>{}, {NAN, 1}, {kMasked, kMasked}, {INFINITY, 0}}) {
    EXPECT_FALSE(LawOfDraw(logits, {}, {}, kLatticeOrder).ok());
  }
  const std::vector<double> logits = {0, 1};
  EXPECT_FALSE(LawOfDraw(logits, {.temperature = -1}, {}, kLatticeOrder).ok());
  EXPECT_FALSE(LawOfDraw(logits, {}, {}, kLatticeOrder, {1.0}).ok());
}

TEST(SamplingLawTest, BiasComesFirst) {
  const std::vector<double> bias = {1, 0};
  const auto law = LawOfDraw(std::vector<double>{0, 0}, {.repetition_penalty = 2},
                             std::vector<int32_t>{0}, kLatticeOrder, bias);
  ASSERT_TRUE(law.ok());
  EXPECT_THAT(law->readings[0].p, Near(Only({0.5, 0}, {})));
}

TEST(SamplingLawTest, OrdersAreFoundByName) {
  EXPECT_EQ(FindSamplingOrder("huggingface"), &kHuggingFaceOrder);
  EXPECT_EQ(FindSamplingOrder("nobody"), nullptr);
}

}  // namespace
}  // namespace crosscheck
