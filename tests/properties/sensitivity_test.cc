#include "properties/sensitivity.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_split.h"
#include "properties/bucket_draws.h"
#include "properties/calibrate.h"
#include "properties/judges/drift.h"
#include "properties/judges/tolerance.h"
#include "properties/reference_panel.h"
#include "tests/properties/fake_observations.h"

namespace crosscheck {
namespace {

std::vector<double> Row(const Message& answer, size_t sequence, int64_t row) {
  auto all = answer.tensors[sequence].As<float>();
  int64_t vocab = answer.tensors[sequence].shape[1];
  return {all.begin() + row * vocab, all.begin() + (row + 1) * vocab};
}

double CentredLinf(const std::vector<double>& a, const std::vector<double>& b) {
  DistancePool pool;
  pool.AddRow(a, b);
  return pool.Result()[Index(Metric::kCentredLinf)];
}

TEST(PlantErrorTest, HasItsSizeInCentredLinfWhereItIsPlanted) {
  Rows zeros{{0, 1, 2}, {{0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}}};
  Message clean = LogitsReply<float>({zeros, zeros}, {}).message;
  for (PlantedAt where :
       {PlantedAt::kOneLogit, PlantedAt::kOnePosition, PlantedAt::kAllPositions}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Message planted = clean;
      PlantError(planted, where, 0.5, seed);
      int rows = 0, logits = 0;
      for (size_t s = 0; s < 2; ++s) {
        for (int64_t i = 0; i < 3; ++i) {
          std::vector<double> row = Row(planted, s, i);
          double error = CentredLinf(Row(clean, s, i), row);
          rows += error > 0 ? 1 : 0;
          for (double value : row) logits += value != 0 ? 1 : 0;
          if (error > 0) EXPECT_NEAR(error, 0.5, 1e-6);
        }
      }
      EXPECT_EQ(rows, where == PlantedAt::kAllPositions ? 6 : 1);
      EXPECT_EQ(logits, where == PlantedAt::kAllPositions  ? 30
                        : where == PlantedAt::kOnePosition ? 5
                                                           : 1);
    }
  }
}

TEST(BucketDrawsTest, FillsBucketsEvenlyAndRepeats) {
  BucketDraws draws(3, "test", {});
  std::vector<BucketDraw> selected = draws.Select(2);
  std::map<std::string, int> count;
  for (const BucketDraw& draw : selected) {
    ModelRunCase c = draws.Make(draw);
    int& have = count[BucketOf(c, BucketPaths(c).front()).ToString()];
    EXPECT_EQ(have, draw.rank);
    ++have;
  }
  EXPECT_GE(count.size(), 72u);  // two depths, three lengths, two kinds of run, six styles
  for (const auto& [bucket, cases] : count) EXPECT_LE(cases, 2) << bucket;
  std::vector<BucketDraw> again = BucketDraws(3, "test", {}).Select(2);
  ASSERT_EQ(again.size(), selected.size());
  for (size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].draw, selected[i].draw);
}

Limits Small() {
  Limits limits;
  limits.max_tokens = 12;
  limits.max_layers = 3;
  limits.chunked_prefill = true;
  limits.families = 1u << static_cast<uint32_t>(Family::kQwen35);
  return limits;
}

TEST(CalibrateTest, TheTableDoesNotDependOnTheNumberOfThreads) {
  CalibrateOptions options;
  options.cases_per_bucket = 3;
  options.torch_cases_per_bucket = 1;
  options.limits = Small();
  auto one = Calibrate(options);
  ASSERT_TRUE(one.ok()) << one.status();
  options.threads = 3;
  auto three = Calibrate(options);
  ASSERT_TRUE(three.ok()) << three.status();
  EXPECT_EQ(one->Print(), three->Print());
  EXPECT_FALSE(one->buckets().empty());
  for (const auto& [key, bounds] : one->buckets()) {
    EXPECT_LE(bounds.cases, 3) << key.ToString();
    EXPECT_EQ(bounds.torch_cases, 1) << key.ToString();
    for (size_t i = 0; i < kMetricCount; ++i) EXPECT_LE(bounds.typical[i], bounds.h[i]);
    EXPECT_LT(bounds.fp64_spread, 1e-10) << key.ToString();
  }
}

TEST(CalibrateTest, NewFamiliesLeaveTheRowsOfTheOthers) {
  const auto key = [](Family family) { return BucketKey{.family = family, .path = "f32-prompt"}; };
  ErrorBoundTable kept;
  kept.provenance = {"kept"};
  kept.Set(key(Family::kQwen35), {.cases = 1});
  kept.Set(key(Family::kLlama), {.cases = 2});
  ErrorBoundTable measured;
  measured.provenance = {"measured"};
  measured.Set(key(Family::kLlama), {.cases = 3});
  measured.Set(key(Family::kQwen35Moe), {.cases = 4});
  const ErrorBoundTable merged = MergeFamilies(kept, measured);
  EXPECT_EQ(merged.provenance, (std::vector<std::string>{"kept", "llama, qwen3_5_moe: measured"}));
  EXPECT_EQ(merged.buckets().size(), 3u);
  EXPECT_EQ(merged.Find(key(Family::kQwen35))->cases, 1);
  EXPECT_EQ(merged.Find(key(Family::kLlama))->cases, 3);
  EXPECT_EQ(merged.Find(key(Family::kQwen35Moe))->cases, 4);
}

// The committed curve says the same of every bucket; this measures it anew on a few cases of each.
TEST(SensitivityTest, ThirtyTimesTheReferenceErrorIsFoundAndItsOwnSizeIsNot) {
  SensitivityOptions options;
  options.cases_per_bucket = 3;
  options.limits = Small();
  auto curve = MeasureSensitivity(options);
  ASSERT_TRUE(curve.ok()) << curve.status();
  int64_t cases = 0, at_one = 0, at_thirty = 0, at_hundred = 0;
  for (const auto& [row, detections] : curve->rows) {
    cases += detections.cases;
    at_one += detections.findings[0];
    at_thirty += detections.findings[5];
    at_hundred += detections.findings[6];
  }
  ASSERT_GT(cases, 300);
  EXPECT_GE(static_cast<double>(at_thirty), 0.99 * static_cast<double>(cases));
  EXPECT_GE(static_cast<double>(at_hundred), 0.99 * static_cast<double>(cases));
  EXPECT_LE(static_cast<double>(at_one), 0.05 * static_cast<double>(cases));
}

// reference/detection_curve.tsv: cases and findings of each path and place, all buckets together.
TEST(SensitivityTest, TheCommittedCurveFindsNinetyNineOfAHundredFromThirtyTimesOn) {
  std::ifstream file("reference/detection_curve.tsv");
  ASSERT_TRUE(file.is_open()) << "run from the repository root";
  std::map<std::string, std::array<double, 3>> sums;  // cases, found at 30, found at 100
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> field = absl::StrSplit(line, '\t');
    if (line[0] == '#' || field[0] == "family") continue;
    ASSERT_EQ(field.size(), 7 + kPlantedFactors.size()) << line;
    double cases = std::stod(field[6]);
    auto& sum = sums[field[1] + " " + field[5]];
    sum[0] += cases;
    sum[1] += cases * std::stod(field[12]);
    sum[2] += cases * std::stod(field[13]);
  }
  EXPECT_EQ(sums.size(), 9u);
  for (const auto& [name, sum] : sums) {
    EXPECT_GE(sum[1], 0.99 * sum[0]) << name;
    EXPECT_GE(sum[2], 0.99 * sum[0]) << name;
  }
}

TEST(SensitivityTest, AnEngineThreeTimesWorseThanLibtorchIsSeenByTheRunWithinFiftyCases) {
  auto panel = ReferencePanel::Open();
  ASSERT_TRUE(panel.ok()) << panel.status();
  DriftTest worse, clean;
  for (int i = 0; i < 50; ++i) {
    Stream stream(static_cast<uint64_t>(i), "drift");
    ModelRunCase c = ModelRunSubject().random(stream, Small()).As<ModelRunCase>();
    auto exact = (*panel)->Answer(ReferencePanel::kExact, c, c.path);
    auto torch = (*panel)->Answer(ReferencePanel::kTorch, c, c.path);
    auto other = (*panel)->Answer(ReferencePanel::kPairwise, c, c.path);
    ASSERT_TRUE(exact.ok() && torch.ok() && other.ok());
    constexpr size_t kRms = Index(Metric::kCentredRms);
    double libtorch = PoolDistances(*exact, *torch, *torch).Result()[kRms];
    double engine = PoolDistances(*exact, *other, *other).Result()[kRms];
    const BucketBounds* bucket = CommittedErrorBounds().Find(BucketOf(c, c.path));
    worse.Add(bucket, 3 * engine, libtorch);
    clean.Add(bucket, engine, libtorch);
  }
  EXPECT_TRUE(worse.Flagged()) << worse.log_evidence() << " after " << worse.cases();
  EXPECT_LT(clean.log_evidence(), 0);
}

}  // namespace
}  // namespace crosscheck
