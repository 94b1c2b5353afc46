// The judgement of drawn tokens, both ways, and its power (judging.md 8.4).
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "properties/judges/sampling.h"
#include "properties/sampler_runs.h"
#include "properties/statistics/e_value.h"

namespace crosscheck {
namespace {

using Values = std::vector<double>;

// judging.md 8.7: 10/60/30 % biased to w = 0.0706.
const Values kLaw = {0.1, 0.6, 0.3};
const Values kBiased = {0.1016, 0.6304, 0.2680};
constexpr int64_t kDraws = 8192;  // the largest first block

SamplingLaw LawOf(const Values& p) {
  Values logits;
  for (const double value : p) logits.push_back(std::log(value));
  return *LawOfDraw(logits, {}, {}, kLatticeOrder);
}

double Uniform(Stream& stream) { return static_cast<double>(stream.Next() >> 11) * 0x1p-53; }

int32_t Draw(Stream& stream, const Values& p) {
  double u = Uniform(stream);
  int32_t i = 0;
  while (static_cast<size_t>(i) + 1 < p.size() && u >= p[i]) u -= p[i++];
  return i;
}

DrawnBlock Block(uint64_t seed, const Values& truth, int64_t draws) {
  Stream stream(seed, "block");
  DrawnBlock block{.tokens = {}, .laws = {LawOf(kLaw)}, .law_of = {}};
  for (int64_t i = 0; i < draws; ++i) block.tokens.push_back(Draw(stream, truth));
  return block;
}

Stream V(uint64_t seed) { return Stream(seed, "v"); }

TEST(SamplingJudgeTest, SupportIsJudgedByEveryReading) {
  DrawnBlock block{.tokens = {0, 1},
                   .laws = {*LawOfDraw(Values{0, 0, 0, 0}, {.top_p = 0.5}, {}, kLatticeOrder)},
                   .law_of = {}};
  ASSERT_EQ(block.laws[0].readings.size(), 2u);
  EXPECT_EQ(AllowedReadings(block), (std::vector<int>{0, 1}));
  block.tokens = {0, 2};
  EXPECT_EQ(AllowedReadings(block), (std::vector<int>{1}));
  EXPECT_EQ(SupportViolation(block), "");
  block.tokens = {0, 3};
  EXPECT_TRUE(AllowedReadings(block).empty());
  EXPECT_NE(SupportViolation(block).find("draw 1 of 2 is token 3"), std::string::npos);
}

// 1e38 + 1 is 1e38 in any precision, but a unit in its last place is far above 1: which of the two
// tied tokens is kept, and with which probability, is no law.
TEST(SamplingJudgeTest, RoundingDecidesWhereItExceedsTheScaleOfTheDistribution) {
  const auto law = [](const Values& logits, const Values& bias) {
    return DrawnBlock{.tokens = {0},
                      .laws = {*LawOfDraw(logits, {.top_p = 0.5}, {}, kLatticeOrder, bias)},
                      .law_of = {}};
  };
  EXPECT_TRUE(RoundingDecides(law({1e38, 1e38, 0}, {1, 0, 0})));
  EXPECT_FALSE(RoundingDecides(law({1e38, 1e38, 0}, {})));
  EXPECT_FALSE(RoundingDecides(law({3, 3, 0}, {1, 0, 0})));
  EXPECT_FALSE(RoundingDecides(law(Values(4096, 0), {})));
  // A low temperature makes a certainty of what one penalty's rounding may turn over.
  const DrawnBlock penalised{
      .tokens = {0},
      .laws = {*LawOfDraw(Values{3, 3 - 0x1p-22}, {.temperature = 1e-36, .repetition_penalty = 1.1},
                          std::vector<int32_t>{0, 1}, kHuggingFaceOrder)},
      .law_of = {}};
  EXPECT_TRUE(RoundingDecides(penalised));
}

TEST(SamplingJudgeTest, CorrectDrawsPassTheScreen) {
  int alarms = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    alarms += ScreenBlock(Block(seed, kLaw, 2048), 0, V(seed)).SmallestPValue() < kScreenLevel;
  }
  EXPECT_LE(alarms, 8);  // seven tests at 1e-3: 1.4 expected
}

// The non-centrality of the negative control, and that the screen sees it that often.
TEST(SamplingJudgeTest, ScreenSeesTheSmallBiasWithPower99) {
  const double w = EffectSize(kLaw, kBiased);
  EXPECT_GE(ChiSquarePower(kDraws * w * w, 2, kScreenLevel), 0.99);
  int seen = 0;
  constexpr int kRuns = 200;
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    seen += ScreenBlock(Block(seed, kBiased, kDraws), 0, V(seed)).SmallestPValue() < kScreenLevel;
  }
  EXPECT_GE(seen, kRuns * 98 / 100);
}

// Judging.md 13: w = 0.07 within 22,000 draws at the 99th percentile, by the evidence that the
// property uses.
TEST(SamplingJudgeTest, FreshDrawsDecideOnTheSmallBias) {
  int found = 0;
  constexpr int kRuns = 200;
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    const double log_e = LogEvidence(Block(seed, kBiased, kFreshDraws), 0, V(seed));
    found += log_e >= std::log(kCaseThreshold);
  }
  EXPECT_GE(found, kRuns * 99 / 100 - 1);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_LT(LogEvidence(Block(seed, kLaw, kFreshDraws), 0, V(seed)), std::log(1e6)) << seed;
  }
}

TEST(SamplingJudgeTest, RepeatedDrawsAreEvidence) {
  DrawnBlock block = Block(1, kLaw, 4096);
  for (size_t t = 1; t < block.tokens.size(); t += 2) block.tokens[t] = block.tokens[t - 1];
  const Screen screen = ScreenBlock(block, 0, V(1));
  EXPECT_GE(screen.pearson.p_value, 1e-6);  // the marginal law is right
  EXPECT_LT(screen.lags, 1e-12);
  EXPECT_GT(LogEvidence(block, 0, V(1)), std::log(kCaseThreshold));
}

TEST(SamplingJudgeTest, OneTokenForEverySeedIsEvidence) {
  DrawnBlock block = Block(1, kLaw, 200);
  for (int32_t& token : block.tokens) token = 2;
  const Screen screen = ScreenBlock(block, 0, V(1));
  EXPECT_LT(screen.collisions, 1e-12);
  EXPECT_GT(LogEvidence(block, 0, V(1)), std::log(kCaseThreshold));
}

// Laws that change from draw to draw, as in generation.
DrawnBlock Changing(uint64_t seed, bool wrong) {
  const Values laws[] = {kLaw, {0.5, 0.25, 0.25}, {0.05, 0.05, 0.9}};
  DrawnBlock block;
  for (const Values& law : laws) block.laws.push_back(LawOf(law));
  Stream stream(seed, "changing");
  for (int t = 0; t < 3000; ++t) {
    const int law = static_cast<int>(stream.Int(0, 2));
    block.law_of.push_back(law);
    block.tokens.push_back(Draw(stream, laws[wrong ? 0 : law]));
  }
  return block;
}

TEST(SamplingJudgeTest, ChangingLawsAreJudgedByTheTransform) {
  EXPECT_GE(ScreenBlock(Changing(1, false), 0, V(1)).SmallestPValue(), kScreenLevel);
  EXPECT_LT(LogEvidence(Changing(1, false), 0, V(1)), 5);
  EXPECT_LT(ScreenBlock(Changing(1, true), 0, V(1)).SmallestPValue(), 1e-12);
  EXPECT_GT(LogEvidence(Changing(1, true), 0, V(1)), std::log(kCaseThreshold));
  EXPECT_EQ(ScreenBlock(Changing(1, false), 0, V(1)).pearson.degrees_of_freedom, 15);
}

TEST(SamplingJudgeTest, ScreenNamesStatisticFreedomAndPValue) {
  const std::string text = ScreenBlock(Block(3, kLaw, 1000), 0, V(3)).ToString();
  EXPECT_NE(text.find("chi-square "), std::string::npos);
  EXPECT_NE(text.find(", df 2, p "), std::string::npos);
}

}  // namespace
}  // namespace crosscheck
