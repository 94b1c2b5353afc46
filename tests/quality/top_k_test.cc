#include "quality/metrics/top_k.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "quality/metrics/divergence.h"

namespace crosscheck::quality {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Rows of `size` tokens: `spread` makes the law peaked, `error` separates the two.
struct Pair {
  std::vector<double> p, q;
};
Pair MakePair(int size, double spread, double error, uint64_t seed) {
  Stream stream(seed, "rows");
  const auto uniform = [&] { return static_cast<double>(stream.Next() >> 11) * 0x1p-53; };
  const auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  };
  Pair pair;
  for (int i = 0; i < size; ++i) {
    pair.p.push_back(spread * normal());
    pair.q.push_back(pair.p.back() + error * normal());
  }
  return pair;
}

TopKDivergence FromStorage(const Pair& pair, int k, int m, uint64_t seed) {
  const TopKSelection s = SelectTopK(pair.p, k, m, Stream(seed, "tail"));
  const Divergence d = DivergenceOf(pair.p, pair.q);
  return DivergenceOfTopK({d.reference_lse, At(pair.p, s.top), At(pair.p, s.tail)},
                          {d.candidate_lse, At(pair.q, s.top), At(pair.q, s.tail)});
}

TEST(TopKIds, LargestFirstTheLowestIdAmongEquals) {
  EXPECT_THAT(TopKIds(std::vector<double>{1, 3, 3, kInfinity, std::nan(""), 2, 3}, 4),
              ElementsAre(1, 2, 6, 5));
  EXPECT_THAT(TopKIds(std::vector<float>{-1, -static_cast<float>(kInfinity)}, 4), ElementsAre(0));
  EXPECT_THAT(TopKIds(std::vector<float>{1}, 0), IsEmpty());
}

TEST(TopKIds, AgreesWithSortingWhateverTheOrder) {
  Stream stream(5, "row");
  for (const int k : {1, 3, 100}) {
    std::vector<float> row(5000);
    for (float& z : row) z = static_cast<float>(stream.Int(0, 700));  // many ties
    for (size_t i = 0; i < row.size() && k == 3; ++i) row[i] = static_cast<float>(i);
    std::vector<int32_t> ids(row.size());
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
    std::sort(ids.begin(), ids.end(),
              [&](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    ids.resize(static_cast<size_t>(k));
    EXPECT_EQ(TopKIds(row, k), ids);
  }
}

TEST(SelectTopK, DrawsTheTailByItsLaw) {
  const std::vector<double> row = {5, std::log(1.0), std::log(2.0), std::log(5.0), -kInfinity};
  std::map<int, int> counts;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const TopKSelection s = SelectTopK(row, 1, 8, Stream(seed, "tail"));
    EXPECT_THAT(s.top, ElementsAre(0));
    EXPECT_NEAR(s.tail_mass, 8 / (8 + std::exp(5)), 1e-15);
    for (const int id : s.tail) ++counts[id];
    EXPECT_NEAR(s.tail_probabilities.back(), 5 / (8 + std::exp(5)), 1e-15);  // stratified: the last
  }
  // Strata of mass 1: token 1 is exactly the first, token 2 the next two, token 3 the rest.
  EXPECT_EQ(counts[1], 1000);
  EXPECT_EQ(counts[2], 2000);
  EXPECT_EQ(counts[3], 5000);
  const std::vector<double> uneven = {5, std::log(0.5), std::log(1.5)};
  int first = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    first += SelectTopK(uneven, 1, 1, Stream(seed, "tail")).tail[0] == 1;
  }
  EXPECT_NEAR(first / 4000.0, 0.25, 0.03);
}

TEST(SelectTopK, NothingIsDrawnWhereNothingIsLeft) {
  EXPECT_THAT(SelectTopK(std::vector<double>{1, 2}, 2, 8, Stream(1, "tail")).tail, IsEmpty());
  EXPECT_THAT(SelectTopK(std::vector<double>{1, -kInfinity}, 1, 8, Stream(1, "t")).tail, IsEmpty());
  EXPECT_THAT(SelectTopK(std::vector<double>{-kInfinity}, 1, 8, Stream(1, "t")).top, IsEmpty());
}

TEST(SelectTopK, TheSameStreamDrawsTheSame) {
  const Pair pair = MakePair(5000, 2, 0.1, 1);
  EXPECT_EQ(SelectTopK(pair.p, 64, 64, Stream(3, "a")).tail,
            SelectTopK(pair.p, 64, 64, Stream(3, "a")).tail);
  EXPECT_NE(SelectTopK(pair.p, 64, 64, Stream(3, "a")).tail,
            SelectTopK(pair.p, 64, 64, Stream(3, "b")).tail);
}

TEST(DivergenceOfTopK, IsUnbiasedWithMuchMassInTheTail) {
  const Pair pair = MakePair(20000, 1.5, 0.1, 2);
  ASSERT_GT(SelectTopK(pair.p, 512, 1, Stream(1, "tail")).tail_mass, 0.5);
  const double truth = DivergenceOf(pair.p, pair.q).kl;
  double sum = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const TopKDivergence d = FromStorage(pair, 512, 256, seed);
    EXPECT_NEAR(d.kl / truth, 1, 0.4);
    EXPECT_LE(d.lower_bound, truth);
    EXPECT_GT(d.lower_bound, 0);
    sum += d.kl;
  }
  EXPECT_NEAR(sum / 30 / truth, 1, 0.05);
}

TEST(DivergenceOfTopK, IsExactWhereEverythingIsStored) {
  const Pair pair = MakePair(500, 3, 0.2, 3);
  const TopKDivergence d = FromStorage(pair, 500, 16, 1);
  EXPECT_NEAR(d.kl, DivergenceOf(pair.p, pair.q).kl, 1e-14);
  EXPECT_NEAR(d.lower_bound, d.kl, 1e-14);
  EXPECT_EQ(FromStorage({pair.p, pair.p}, 64, 64, 1).kl, 0);
}

TEST(DivergenceOfTopK, ATokenThatTheCandidateExcludes) {
  EXPECT_EQ(DivergenceOfTopK({0, {-0.1}, {-3}}, {0, {-0.1}, {-kInfinity}}).kl, kInfinity);
  EXPECT_EQ(DivergenceOfTopK({0, {-0.1}, {}}, {0, {-kInfinity}, {}}).kl, kInfinity);
}

}  // namespace
}  // namespace crosscheck::quality
