#include "reference/error_bound.h"

#include <gtest/gtest.h>

#include <limits>

namespace crosscheck {
namespace {

BucketKey Key(int depth, int length, WeightStyle style = WeightStyle::kPlain) {
  return {.family = Family::kQwen35,
          .path = "f32-readout",
          .depth = depth,
          .length = length,
          .style = style};
}

BucketBounds Bounds(double h) {
  BucketBounds bounds;
  bounds.cases = 10'000;
  bounds.torch_cases = 1'000;
  bounds.typical = {h / 8, h / 16, h / 32, h / 4};
  bounds.h = {h, h / 2, h / 4, 2 * h};
  bounds.fp64_spread = 1e-15;
  bounds.exceed_rate = 0.125;
  return bounds;
}

TEST(ErrorBoundTableTest, PrintedTableReadsBackWithItsProvenance) {
  ErrorBoundTable table;
  table.provenance = {"seed = 1", "cpu = some model"};
  table.Set(Key(0, 1), Bounds(0.25));
  table.Set(Key(1, 2, WeightStyle::kTiny), Bounds(0.5));
  auto same = ErrorBoundTable::Parse(table.Print());
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->Print(), table.Print());
  EXPECT_EQ(*same, table);
}

TEST(ErrorBoundTableTest, ProvenanceOfSeveralLinesStaysProvenance) {
  ErrorBoundTable table;
  table.provenance = {"build 1\nlibtorch 1.13"};
  auto same = ErrorBoundTable::Parse(table.Print());
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->provenance, (std::vector<std::string>{"build 1", "libtorch 1.13"}));
}

TEST(ErrorBoundTableTest, BadTablesAreErrorsThatNameTheLine) {
  ErrorBoundTable table;
  table.Set(Key(0, 0), Bounds(0.5));
  std::string good = table.Print();
  auto edited = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return ErrorBoundTable::Parse(text).status();
  };
  EXPECT_FALSE(edited("family", "families").ok());
  EXPECT_FALSE(edited("qwen3_5", "qwen9").ok());
  EXPECT_FALSE(edited("10000", "many").ok());
  EXPECT_FALSE(edited("5.00000000e-01", "nan").ok());
  EXPECT_FALSE(edited("5.00000000e-01", "-1").ok());
  EXPECT_FALSE(edited("\tplain", "").ok());
  std::string twice = good + good.substr(good.find("qwen3_5"));
  absl::Status repeated = ErrorBoundTable::Parse(twice).status();
  EXPECT_NE(repeated.message().find("line 3"), std::string::npos) << repeated;
}

TEST(ErrorBoundTableTest, AMissingBucketNeverTakesTheBoundOfALargerClassOrAnotherStyle) {
  ErrorBoundTable table;
  table.Set(Key(1, 1), Bounds(0.5));
  ASSERT_NE(table.Find(Key(1, 1)), nullptr);
  EXPECT_EQ(table.Find(Key(2, 1)), table.Find(Key(1, 1)));
  EXPECT_EQ(table.Find(Key(1, 2)), table.Find(Key(1, 1)));
  EXPECT_EQ(table.Find(Key(0, 1)), nullptr);
  EXPECT_EQ(table.Find(Key(1, 0)), nullptr);
  EXPECT_EQ(table.Find(Key(1, 1, WeightStyle::kLarge)), nullptr);
}

TEST(ErrorBoundTableTest, ClassesCutWhereTheirNamesSay) {
  EXPECT_EQ(DepthClass(2), 0);
  EXPECT_EQ(DepthClass(3), 1);
  EXPECT_EQ(DepthClass(7), 2);
  EXPECT_EQ(LengthClass(8), 0);
  EXPECT_EQ(LengthClass(9), 1);
  EXPECT_EQ(LengthClass(65), 2);
}

TEST(ErrorBoundTableTest, TheCommittedTableIsReadable) {
  for (const auto& [key, bounds] : CommittedErrorBounds().buckets()) {
    EXPECT_GT(bounds.h[Index(Metric::kCentredRms)], 0) << key.ToString();
    EXPECT_LT(bounds.typical[Index(Metric::kCentredLinf)], 1e-3) << key.ToString();
    EXPECT_LE(bounds.fp64_spread, kLargestFp64Spread) << key.ToString();
  }
}

// M = 16: typical is 0.002 in L-inf.
TEST(ErrorBoundTest, GrowsFromTheTypicalErrorWithTheReferencesOfTheCase) {
  BucketBounds bucket = Bounds(0.001);
  ErrorBound bound(&bucket, 16, DType::kF32);
  double floor = 2 * Ulp(DType::kF32, 16);
  auto linf = [&] { return bound.Of(Metric::kCentredLinf) - floor; };
  EXPECT_DOUBLE_EQ(linf(), 2 * 0.002);
  bound.Widen({0.0001, 0, 0, 0});
  EXPECT_DOUBLE_EQ(linf(), 2 * 0.002) << "a lucky reference tightens nothing";
  bound.Widen({0.003, 0, 0, 0});
  EXPECT_DOUBLE_EQ(linf(), 2 * 3 * 0.003);
  bound.Widen({0.001, 0, 0, 0});
  EXPECT_DOUBLE_EQ(linf(), 2 * 3 * 0.003) << "it never shrinks";
  EXPECT_DOUBLE_EQ(bound.FloorOf(Metric::kCentredLinf), 2 * 0.002 + floor);
  EXPECT_DOUBLE_EQ(bound.Of(Metric::kCentredRms), 2 * 0.001 + floor) << "metrics are apart";
}

TEST(ErrorBoundTest, CoversWhenEveryVerdictMetricIsWithin) {
  BucketBounds bucket = Bounds(0.008);  // typical at M = 1: 0.001, 0.0005, 0.00025
  ErrorBound bound(&bucket, 1, DType::kF32);
  EXPECT_TRUE(bound.Covers({0.002, 0.001, 0.0005, 99})) << "plain L-inf decides nothing";
  EXPECT_FALSE(bound.Covers({0.0021, 0, 0, 0}));
  EXPECT_FALSE(bound.Covers({0, 0.0011, 0, 0}));
  EXPECT_FALSE(bound.Covers({0, 0, 0.0006, 0}));
  EXPECT_FALSE(bound.Covers({std::numeric_limits<double>::quiet_NaN(), 0, 0, 0}));
  EXPECT_NEAR(bound.WorstRatio({0.004, 0, 0, 0}), 2, 0.001);
}

TEST(ErrorBoundTest, WithoutABucketOnlyReferencesAndFloorCount) {
  ErrorBound bound(nullptr, 1, DType::kF32);
  EXPECT_DOUBLE_EQ(bound.Of(Metric::kLinf), 2 * 0x1p-23);
  EXPECT_TRUE(bound.Covers({0, 0, 0, 0}));
}

}  // namespace
}  // namespace crosscheck
