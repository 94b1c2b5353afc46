#include "quality/metrics/sampled.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "quality/metrics/agreement.h"

namespace crosscheck::quality {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

const std::vector<double> kLogits = {2, 1, 0, -1};

TEST(LawAt, DividesByTheTemperature) {
  EXPECT_THAT(LawAt(kLogits, 0.7),
              ElementsAre(DoubleNear(0.76286528, 5e-9), DoubleNear(0.18282145, 5e-9),
                          DoubleNear(0.04381335, 5e-9), DoubleNear(0.01049992, 5e-9)));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(LawAt(std::vector<float>{0, -infinity}, 0.5), ElementsAre(1, 0));
}

TEST(CompareDraws, OfTheWorkedCounts) {
  const DrawsAgainstLaw result =
      CompareDraws(std::vector<int64_t>{760, 190, 40, 10}, LawAt(kLogits, 0.7));
  EXPECT_NEAR(result.pearson.statistic, 0.6483313125529162, 1e-12);
  EXPECT_NEAR(result.likelihood_ratio.statistic, 0.6551847538769997, 1e-12);
  EXPECT_NEAR(result.pearson.p_value, 0.8852842, 5e-8);
  EXPECT_EQ(result.pearson.degrees_of_freedom, 3);
  EXPECT_EQ(result.draws, 1000);
  EXPECT_EQ(result.squared_effect(), 0);
}

TEST(CompareDraws, EffectSizeOfABiasedSampler) {
  // q = (0.10, 0.90) against p = (0.5, 0.5): sum (q - p)^2 / p = 0.64.
  const DrawsAgainstLaw result =
      CompareDraws(std::vector<int64_t>{1000, 9000}, std::vector<double>{0.5, 0.5});
  EXPECT_NEAR(result.squared_effect(), 0.64, 1e-3);
  EXPECT_LT(result.pearson.p_value, 1e-12);
}

TEST(CompareDraws, ATokenThatTheLawExcludesIsCountedApart) {
  const DrawsAgainstLaw result =
      CompareDraws(std::vector<int64_t>{50, 50, 3}, std::vector<double>{0.5, 0.5, 0});
  EXPECT_EQ(result.outside_support, 3);
}

TEST(Combine, AddsStatisticsAndDegreesOfFreedom) {
  const DrawsAgainstLaw one =
      CompareDraws(std::vector<int64_t>{40, 60}, std::vector<double>{0.5, 0.5});
  const DrawsAgainstLaw both = Combine({one, one});
  EXPECT_EQ(both.pearson.degrees_of_freedom, 2);
  EXPECT_NEAR(both.pearson.statistic, 8, 1e-12);
  EXPECT_NEAR(both.pearson.p_value, std::exp(-4), 1e-12);  // chi-square of two
  EXPECT_EQ(both.draws, 200);
}

// Draws of an exact sampler of the law of `logits` at this temperature.
std::vector<int64_t> Drawn(const std::vector<float>& logits, double temperature, int draws,
                           Stream stream) {
  const std::vector<double> p = LawAt(logits, temperature);
  std::vector<int64_t> counts(p.size());
  for (int i = 0; i < draws; ++i) {
    double u = static_cast<double>(stream.Next() >> 11) * 0x1p-53;
    size_t token = 0;
    while (token + 1 < p.size() && u >= p[token]) u -= p[token++];
    ++counts[token];
  }
  return counts;
}

std::vector<float> Descending(int tokens) {
  std::vector<float> logits;
  for (int i = 0; i < tokens; ++i) logits.push_back(-0.15F * static_cast<float>(i));
  return logits;
}

// E has mean at most 1 under the null; against a temperature 5 % too high it convinces, and another
// law that is no temperature is seen too.
TEST(SamplerEvidence, IsSmallForAnExactSamplerAndLargeForAHotOne) {
  const std::vector<float> logits = Descending(40);
  double mean = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SamplerEvidence exact;
    exact.Add(logits, 0.7, Drawn(logits, 0.7, 500, Stream(seed, "draws")));
    mean += std::exp(exact.log_e()) / 100;
  }
  EXPECT_LT(mean, 2);
  SamplerEvidence hot, shifted;
  for (uint64_t position = 0; position < 4; ++position) {
    hot.Add(logits, 0.7, Drawn(logits, 1.05 * 0.7, 8192, Stream(position, "draws")));
    std::vector<int64_t> counts = Drawn(logits, 0.7, 8192, Stream(position, "draws"));
    std::swap(counts[0], counts[5]);
    shifted.Add(logits, 0.7, counts);
  }
  EXPECT_GT(hot.log_e(), std::log(1e6));
  EXPECT_GT(shifted.log_e(), std::log(1e6));
}

TEST(ShiftOfTemperature, IsTheNoncentralityThatSuchDrawsHave) {
  const std::vector<float> logits = Descending(40);
  const TestResult shift = ShiftOfTemperature(logits, 0.7, 1.05, 8192);
  double mean = 0;  // of Pearson's statistic: degrees of freedom and non-centrality
  for (uint64_t seed = 0; seed < 100; ++seed) {
    mean += CompareDraws(Drawn(logits, 1.05 * 0.7, 8192, Stream(seed, "draws")), LawAt(logits, 0.7))
                .pearson.statistic /
            100;
  }
  EXPECT_NEAR(mean, shift.statistic + shift.degrees_of_freedom, 4);
  EXPECT_EQ(ShiftOfTemperature(logits, 0.7, 1, 8192).degrees_of_freedom, shift.degrees_of_freedom);
  EXPECT_LT(ShiftOfTemperature(logits, 0.7, 1, 8192).statistic, 0.5);  // counts are whole
}

TEST(CountDistances, OfTheWorkedCounts) {
  const std::vector<int64_t> a = {3, 1, 0}, b = {2, 1, 1};
  EXPECT_NEAR(JensenShannonOfCounts(a, b), 0.09922809353917371, 1e-16);
  EXPECT_NEAR(TotalVariationOfCounts(a, b), 0.25, 1e-16);
  EXPECT_EQ(JensenShannonOfCounts(a, {0, 0, 0}), 0);
}

// 20 prompts x 4 pairs of 10 tokens below `vocabulary`; the candidate's are shifted by `shift`.
std::vector<PromptSamples> Generations(int vocabulary, int shift, uint64_t seed) {
  Stream stream(seed, "generations");
  std::vector<PromptSamples> prompts(20);
  for (PromptSamples& prompt : prompts) {
    for (int s = 0; s < 8; ++s) {
      std::vector<int32_t> ids;
      for (int t = 0; t < 10; ++t) {
        ids.push_back(static_cast<int32_t>(stream.Int(0, vocabulary - 1) + (s < 4 ? 0 : shift)));
      }
      (s < 4 ? prompt.reference : prompt.candidate).push_back(ids);
    }
  }
  return prompts;
}

TEST(CompareNGrams, SwapsRemoveTheBiasOfEqualLaws) {
  double excess = 0;
  int rejected = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const NGramDistance d = CompareNGrams(Generations(12, 0, seed), 2, Stream(seed, "swaps"), 200);
    EXPECT_GT(d.divergence, 0.01);  // of equal laws: all bias
    excess += d.excess / 40;
    rejected += d.p_value <= 0.05;
  }
  EXPECT_NEAR(excess, 0, 2e-3);
  EXPECT_LE(rejected, 7);  // of 40 at 5 %: P(more) < 1e-3
}

TEST(CompareNGrams, AnotherLawIsSeen) {
  for (const int n : {1, 2, 3}) {
    const NGramDistance d = CompareNGrams(Generations(12, 3, 1), n, Stream(1, "swaps"));
    EXPECT_GT(d.excess, 0.02);
    EXPECT_NEAR(d.p_value, 1.0 / 1001, 1e-12);
  }
  EXPECT_EQ(CompareNGrams({}, 2, Stream(1, "swaps")).divergence, 0);
}

TEST(TopKOverlap, AndItsJaccard) {
  const std::vector<int32_t> a = {1, 2, 3, 4}, b = {4, 3, 9, 8};
  EXPECT_EQ(TopKOverlap(a, b, 4), 0.5);
  EXPECT_EQ(TopKOverlap(a, b, 2), 0);
  EXPECT_EQ(TopKOverlap(a, b, 100), 0.5);
  EXPECT_NEAR(JaccardOf(0.5), 2.0 / 6, 1e-15);
  EXPECT_EQ(JaccardOf(1), 1);
}

TEST(RankOf, TheLowerIdComesFirst) {
  const std::vector<float> row = {1, 5, 5, 2};
  EXPECT_EQ(RankOf(row, 1), 0);
  EXPECT_EQ(RankOf(row, 2), 1);
  EXPECT_EQ(RankOf(row, 0), 3);
}

TEST(IsDecided, WhereTheErrorsCannotSwapTheBest) {
  EXPECT_TRUE(IsDecided(0.3, 0.1, 0.1));
  EXPECT_FALSE(IsDecided(0.2, 0.1, 0.1));
}

}  // namespace
}  // namespace crosscheck::quality
