#include "properties/judges/drift.h"

#include <gtest/gtest.h>

#include <cmath>

#include "properties/stream.h"

namespace crosscheck {
namespace {

BucketBounds Bucket(double exceed_rate) {
  BucketBounds bucket;
  bucket.torch_cases = 1'000;
  bucket.exceed_rate = exceed_rate;
  return bucket;
}

// The engine's error is a fold of libtorch's, evenly distributed on a log scale between 1/2.38 and
// 2.38: above twice in 10 % of the cases, about the median of the calibrated buckets.
constexpr double kSpread = 0.866, kCleanRate = 0.1;

int CasesUntilFlagged(uint64_t seed, double factor, int longest) {
  BucketBounds bucket = Bucket(kCleanRate);
  Stream stream(seed, "drift");
  DriftTest drift;
  for (int i = 1; i <= longest; ++i) {
    double fold = std::exp(static_cast<double>(stream.Int(-1'000'000, 1'000'000)) * 1e-6 * kSpread);
    drift.Add(&bucket, factor * fold, 1);
    if (drift.Flagged()) return i;
  }
  return longest + 1;
}

TEST(DriftTestTest, AnEngineThreeTimesWorseIsFlaggedWithinFiftyCases) {
  int within = 0;
  for (uint64_t seed = 0; seed < 200; ++seed)
    within += CasesUntilFlagged(seed, 3, 50) <= 50 ? 1 : 0;
  EXPECT_GE(within, 198);
}

TEST(DriftTestTest, ACleanEngineIsNeverFlaggedHoweverLongItRuns) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    EXPECT_GT(CasesUntilFlagged(seed, 1, 20'000), 20'000) << seed;
  }
}

TEST(DriftTestTest, AnEngineBelowTwiceTheCleanRateIsNotFlagged) {
  for (uint64_t seed = 0; seed < 100; ++seed) {  // above twice in 18 % of the cases
    EXPECT_GT(CasesUntilFlagged(seed, 1.15, 20'000), 20'000) << seed;
  }
}

TEST(DriftTestTest, CasesWithoutAUsableBucketDoNotCount) {
  DriftTest drift;
  BucketBounds wide = Bucket(0.6), empty;
  for (int i = 0; i < 1'000; ++i) {
    drift.Add(nullptr, 9, 1);
    drift.Add(&wide, 9, 1);
    drift.Add(&empty, 9, 1);
  }
  EXPECT_EQ(drift.cases(), 0);
  EXPECT_FALSE(drift.Flagged());
}

TEST(DriftTestTest, StaysFlagged) {
  BucketBounds bucket = Bucket(0.05);
  DriftTest drift;
  for (int i = 0; i < 20; ++i) drift.Add(&bucket, 9, 1);
  EXPECT_TRUE(drift.Flagged());
  for (int i = 0; i < 1'000; ++i) drift.Add(&bucket, 1, 1);
  EXPECT_LT(drift.log_evidence(), 0);
  EXPECT_TRUE(drift.Flagged());
}

}  // namespace
}  // namespace crosscheck
