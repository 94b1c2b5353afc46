#include "quality/metrics/fast_divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "properties/stream.h"
#include "quality/metrics/divergence.h"
#include "quality/metrics/top_k.h"

namespace crosscheck::quality {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<InstructionSet> Sets() {
  std::vector<InstructionSet> sets = {InstructionSet::kBaseline};
  const InstructionSet best = BestInstructionSet();
  if (best != InstructionSet::kBaseline) sets.push_back(InstructionSet::kAvx2);
  if (best == InstructionSet::kAvx512) sets.push_back(InstructionSet::kAvx512);
  return sets;
}

void ExpectAsSlow(const std::vector<float>& p, const std::vector<float>& q, std::string_view what) {
  const Divergence exact = DivergenceOf(p, q);
  for (const InstructionSet set : Sets()) {
    SCOPED_TRACE(testing::Message() << what << ", set " << static_cast<int>(set));
    FastDivergence compare(10, set);
    const FastResult& fast = compare(p, q);
    EXPECT_NEAR(fast.kl, exact.kl, std::max(1e-9, 1e-5 * exact.kl));
    EXPECT_GE(fast.kl, 0);
    EXPECT_NEAR(fast.reference.lse, exact.reference_lse, 1e-5);
    EXPECT_NEAR(fast.candidate.lse, exact.candidate_lse, 1e-5);
    EXPECT_EQ(fast.reference.top, TopKIds(p, 10));
    EXPECT_EQ(fast.candidate.top, TopKIds(q, 10));
    EXPECT_EQ(fast.reference.argmax, TopKIds(p, 1)[0]);
    EXPECT_EQ(fast.candidate.argmax, TopKIds(q, 1)[0]);
    const auto near = [](double value) { return std::max(1e-7, 1e-5 * value); };
    const FastDetails details = compare.Details(p, q);
    EXPECT_NEAR(details.reverse_kl, exact.reverse_kl, near(exact.reverse_kl));
    EXPECT_NEAR(details.total_variation, exact.total_variation, near(exact.total_variation));
    EXPECT_NEAR(details.centred_linf, exact.centred_linf, near(exact.centred_linf));
    EXPECT_NEAR(details.centred_rms, exact.centred_rms, near(exact.centred_rms));
  }
}

float Normal(Stream& stream) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<float>(stream.Next() >> 40) * 0x1p-24f;
  return sum;
}

TEST(FastDivergence, AgreesWithTheExactForm) {
  Stream stream(1, "rows");
  for (const int size : {1, 2, 7, 1000, 1024, 1025, 30000}) {
    for (const float spread : {0.1f, 3.0f, 12.0f}) {
      for (const float error : {1e-6f, 1e-3f, 0.1f, 2.0f}) {
        std::vector<float> p, q;
        for (int i = 0; i < size; ++i) {
          p.push_back(20 + spread * Normal(stream));
          q.push_back(p.back() + error * Normal(stream));
        }
        ExpectAsSlow(p, q, testing::PrintToString(std::vector<float>{1.0f * size, spread, error}));
      }
    }
  }
}

TEST(FastDivergence, WorkedRows) {
  ExpectAsSlow({2, 1, 0, -1}, {1.8f, 1.1f, 0.1f, -1}, "T1");
  std::vector<float> p(248320, 0.0f), q = p;
  q[0] = 5;
  ExpectAsSlow(p, q, "T2");
  for (int i = 0; i < 248320; ++i) p[i] = -0.1f * i, q[i] = -0.12f * i;
  ExpectAsSlow(p, q, "T3");
  ExpectAsSlow({0, -1000, 3}, {-1000, 0, 3}, "far apart");
  ExpectAsSlow({0, -1000}, {-1000, 0}, "disjoint");
  ExpectAsSlow({3, 3, 3, 3}, {3, 3, 3, 3}, "equal");
}

TEST(FastDivergence, TheLowestIdWinsTiesAndMinusZeroIsZero) {
  ExpectAsSlow({-1, 0.0f, -0.0f, 0.0f}, {-0.0f, 0.0f, -1, -1}, "zeros");
  std::vector<float> p(3000), q(3000);
  for (int i = 0; i < 3000; ++i) p[i] = static_cast<float>(i % 7), q[i] = static_cast<float>(i % 5);
  ExpectAsSlow(p, q, "ties");
}

TEST(FastDivergence, InfinitiesAndNansAreJudgedAsByTheExactForm) {
  const std::vector<float> p = {0, 0, -kInfinity};
  for (const InstructionSet set : Sets()) {
    FastDivergence compare(2, set);
    EXPECT_NEAR(compare(p, std::vector<float>{0.1f, 0, -kInfinity}).kl, 1.24948e-3, 1e-8);
    EXPECT_EQ(compare(p, std::vector<float>{0.1f, -kInfinity, 0}).kl, kInfinity);
    const FastResult& bad =
        compare(p, std::vector<float>{kInfinity, std::nanf(""), -std::nanf("")});
    EXPECT_EQ(bad.non_finite, 4);  // and no finite logit
    EXPECT_EQ(bad.candidate.argmax, -1);
    EXPECT_TRUE(
        std::isnan(compare.Details(p, std::vector<float>{kInfinity, std::nanf(""), -std::nanf("")})
                       .total_variation));
    EXPECT_EQ(bad.reference.argmax, 0);
    EXPECT_EQ(compare(p, std::vector<float>{1, 2, 3}).non_finite, 0);
  }
}

}  // namespace
}  // namespace crosscheck::quality
