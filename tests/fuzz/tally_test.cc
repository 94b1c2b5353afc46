#include "fuzz/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crosscheck {
namespace {

// A passed case of a calibrated bucket in which the engine's error is `factor` times libtorch's.
Outcome CaseWithError(double factor, int64_t index) {
  const auto& [key, bounds] = *CommittedErrorBounds().buckets().begin();
  Outcome outcome;
  outcome.property = FindProperty("logit_closeness");
  outcome.index = index;
  outcome.verdict.bucket = key.ToString();
  outcome.verdict.measures.push_back({.metric = "centred_rms",
                                      .path = "prompt",
                                      .error = factor,
                                      .bound = 100,
                                      .reference_error = 1});
  return outcome;
}

SmokeReport ReportOf(double factor, int cases) {
  SmokeOptions options;
  options.properties = {FindProperty("logit_closeness")};
  Tally tally(options, "1");
  for (int i = 0; i < cases; ++i) tally.Add(CaseWithError(factor, i));
  SmokeReport report;
  tally.Report(report);
  return report;
}

TEST(TallyTest, AnEngineOfThreeTimesTheReferenceErrorIsFlaggedWithinFiftyCases) {
  const SmokeReport report = ReportOf(3, 50);
  ASSERT_EQ(report.drifts.size(), 1);
  EXPECT_EQ(report.drifts[0].cases, 50);
  EXPECT_TRUE(report.drifts[0].flagged);
}

TEST(TallyTest, AnEngineAsGoodAsTheReferenceIsNotFlagged) {
  const SmokeReport report = ReportOf(1, 5000);
  ASSERT_EQ(report.drifts.size(), 1);
  EXPECT_FALSE(report.drifts[0].flagged);
  EXPECT_EQ(report.properties[0].passed, 5000);
}

TEST(TallyTest, CasesWithoutLibtorchDoNotCountForDrift) {
  SmokeOptions options;
  options.properties = {FindProperty("logit_closeness")};
  Tally tally(options, "1");
  Outcome outcome = CaseWithError(3, 0);
  outcome.verdict.measures[0].reference_error = -1;
  tally.Add(std::move(outcome));
  SmokeReport report;
  tally.Report(report);
  EXPECT_THAT(report.drifts, testing::IsEmpty());
}

}  // namespace
}  // namespace crosscheck
