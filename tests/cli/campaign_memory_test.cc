// What the summary of a campaign says of its memory.
#include "cli/reports/campaign_memory.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

// 100 samples of one run, one each `seconds_apart`. Workers grow by 100 bytes a second from the
// first sample on, engines by 1 MB with each sample until the 40th.
CampaignData Campaign(double seconds_apart) {
  CampaignData data;
  data.runs.push_back({.id = 7, .seconds = 100 * seconds_apart});
  for (int i = 0; i < 100; ++i) {
    const double elapsed = i * seconds_apart;
    SampleRow sample{.run = 7, .elapsed = elapsed, .supervisor_bytes = 20'000'000};
    sample.worker_bytes = 300'000'000 + static_cast<int64_t>(100 * elapsed);
    sample.rss_bytes =
        sample.supervisor_bytes + sample.worker_bytes + int64_t{1'000'000} * std::min(i, 40);
    data.samples.push_back(sample);
  }
  return data;
}

TEST(CampaignMemoryTest, TheSlopeIsThatOfTheSecondHalfByProcess) {
  const MemoryGrowth growth = MemoryGrowthOf(Campaign(5), 7);
  EXPECT_NEAR(growth.workers, 360'000, 1);
  EXPECT_NEAR(growth.engines, 0, 1);  // what grew in the first half was warming up
  EXPECT_NEAR(growth.supervisor, 0, 1);
  EXPECT_NEAR(growth.all, 360'000, 1);
}

TEST(CampaignMemoryTest, TheLineNamesTheProcessThatGrows) {
  EXPECT_EQ(MemoryLine(Campaign(5)),
            "memory: 360 MB at the end (supervisor 20, workers 300, engines 40); over the second "
            "half of this run of 500 s +0.4 MB per hour (supervisor +0.0, workers +0.4, engines "
            "+0.0)\n");
}

TEST(CampaignMemoryTest, AShortRunOrOneWithoutSamplesHasNoSlope) {
  EXPECT_EQ(MemoryLine(Campaign(1)), "");
  EXPECT_EQ(MemoryLine(CampaignData()), "");
  EXPECT_TRUE(std::isnan(MemoryGrowthOf(Campaign(5), 8).all));
  EXPECT_EQ(MemoryJson(CampaignData())["all"], 0);
  EXPECT_NEAR(MemoryJson(Campaign(5))["workers"].get<double>(), 0.36, 1e-6);
}

}  // namespace
}  // namespace crosscheck
