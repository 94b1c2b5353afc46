#include <filesystem>

#include "fuzz/campaign/store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

class CampaignStoreTest : public testing::Test {
 protected:
  std::string StateFile(int shard) const {
    return own_.path() + "/state/" + std::to_string(shard) + ".sqlite";
  }
  static int64_t Begin(Store& store, int shard, const std::string& build = "build-1") {
    auto run = store.BeginRun({.shard = shard, .shards = 2, .build = build, .seed = ~uint64_t{0}});
    EXPECT_TRUE(run.ok()) << run.status();
    return run.value_or(-1);
  }
  static BatchRecord Batch(int64_t run, int64_t first, int64_t cases, double elapsed) {
    BatchRecord record;
    record.row = {.run = run,
                  .elapsed = elapsed,
                  .engine = "e",
                  .property = "p",
                  .driver = "random",
                  .first = first,
                  .cases = cases,
                  .passed = cases - 1,
                  .findings = 1};
    record.margins[{"prompt", "nll"}][-3] = cases;
    record.counters[{"label", "tied"}] = 2;
    record.features = {7, ~uint64_t{0}, static_cast<uint64_t>(first)};
    record.findings.push_back({.signature = "p/e/s/state", .elapsed = elapsed, .count = 1});
    return record;
  }

  const OwnFolder own_;
};

TEST_F(CampaignStoreTest, SumsWhatBatchesAdd) {
  auto store = Store::Open(StateFile(0));
  ASSERT_TRUE(store.ok()) << store.status();
  const int64_t run = Begin(*store, 0);
  ASSERT_TRUE(store->AddBatch(Batch(run, 0, 10, 1)).ok());
  ASSERT_TRUE(store->AddBatch(Batch(run, 10, 20, 2)).ok());
  ASSERT_TRUE(store->AddSample({.run = run, .elapsed = 2.5, .cases = 30}).ok());
  const auto data = ReadCampaign(own_.path());
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->activity.size(), 1u);
  EXPECT_EQ(data->activity[0].cases, 30);
  EXPECT_EQ(data->activity[0].passed, 28);
  ASSERT_EQ(data->margins.size(), 1u);
  EXPECT_EQ(data->margins[0].count, 30);
  EXPECT_EQ(data->counters[0].count, 4);
  ASSERT_EQ(data->findings.size(), 1u);
  EXPECT_EQ(data->findings[0].count, 2);
  EXPECT_EQ(data->findings[0].elapsed, 1);
  EXPECT_EQ(data->runs[0].seconds, 2.5);
  EXPECT_EQ(data->runs[0].seed, ~uint64_t{0});
  EXPECT_THAT(*store->Features("build-1"), UnorderedElementsAre(0, 7, 10, ~uint64_t{0}));
  EXPECT_THAT(*store->Features("build-2"), testing::IsEmpty());
  EXPECT_THAT(*store->Recorded(~uint64_t{0}, "e", "p", "random"),
              ElementsAre(Pair(0, 10), Pair(10, 20)));
  EXPECT_THAT(*store->Recorded(1, "e", "p", "random"), testing::IsEmpty());
}

TEST_F(CampaignStoreTest, ALaterRunGoesOnInCampaignTime) {
  {
    auto store = Store::Open(StateFile(0));
    const int64_t run = Begin(*store, 0);
    ASSERT_TRUE(store->AddBatch(Batch(run, 0, 10, 4)).ok());
    ASSERT_TRUE(store->EndRun(run, 5, "signal").ok());
  }
  auto store = Store::Open(StateFile(0));
  EXPECT_EQ(store->elapsed(), 5);
  Begin(*store, 0);
  const auto data = ReadCampaign(own_.path());
  ASSERT_EQ(data->runs.size(), 2u);
  EXPECT_EQ(data->runs[0].ended, "signal");
  EXPECT_EQ(data->runs[1].start_elapsed, 5);
  EXPECT_EQ(data->runs[1].ended, "");
}

TEST_F(CampaignStoreTest, ShardsAreReadTogetherAndTheOwnerOfAFindingSpeaksForIt) {
  for (int shard : {0, 1}) {
    auto store = Store::Open(StateFile(shard));
    const int64_t run = Begin(*store, shard);
    ASSERT_TRUE(store->AddBatch(Batch(run, 0, 10, 9 - shard)).ok());
    auto findings = store->Findings();
    ASSERT_EQ(findings->size(), 1u);
    FindingRow& finding = findings->front();
    finding.state = shard == 0 ? FindingState::kElsewhere : FindingState::kConfirmed;
    finding.case_file = shard == 0 ? "" : "smallest.case";
    ASSERT_TRUE(store->SaveFinding(finding).ok());
  }
  const auto data = ReadCampaign(own_.path());
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->runs.size(), 2u);
  EXPECT_NE(data->runs[0].id, data->runs[1].id);
  EXPECT_EQ(data->activity[1].run, data->runs[1].id);
  ASSERT_EQ(data->findings.size(), 1u);
  EXPECT_EQ(data->findings[0].case_file, "smallest.case");
  EXPECT_EQ(data->findings[0].count, 2);
}

TEST_F(CampaignStoreTest, AFolderWithoutACampaignAndAFileThatIsNoStateAreErrors) {
  EXPECT_THAT(std::string(ReadCampaign(own_.path()).status().message()),
              HasSubstr("no campaign was recorded here"));
  std::filesystem::create_directories(own_.path() + "/state");
  std::FILE* file = std::fopen(StateFile(0).c_str(), "w");
  std::fputs(std::string(2000, 'x').c_str(), file);
  std::fclose(file);
  EXPECT_THAT(std::string(ReadCampaign(own_.path()).status().message()), HasSubstr("0.sqlite"));
  EXPECT_FALSE(Store::Open(StateFile(0)).ok());
}

TEST(MarginBucketTest, TheBoundIsTheLowerEdgeOfBucketZero) {
  EXPECT_EQ(MarginBucket(0), kLeastMargin);
  EXPECT_EQ(MarginBucket(1), 0);
  EXPECT_EQ(MarginBucket(0.99), -1);
  EXPECT_EQ(MarginBucket(0.5), -2);
  EXPECT_EQ(MarginBucket(1e30), kLargestMargin);
  for (const double ratio : {0.001, 0.3, 0.9, 1.0, 7.0}) {
    EXPECT_GT(MarginBucketTop(MarginBucket(ratio)), ratio);
  }
}

}  // namespace
}  // namespace crosscheck
