// Campaigns of the real command when the system around them changes: signals, disks, clocks.
// Nothing that was announced as recorded is lost, the message says what happened, and the next run
// goes on.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/campaign_process.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;

class CampaignSystemTest : public testing::Test {
 protected:
  CampaignSystemTest() { std::filesystem::create_directories(workdir_); }

  std::vector<std::string> Command(const std::string& engine,
                                   std::vector<std::string> more = {}) const {
    return CampaignCommand(workdir_, engine, std::move(more));
  }
  CampaignData Data() const {
    auto data = ReadCampaign(workdir_);
    EXPECT_TRUE(data.ok()) << data.status();
    return data.value_or(CampaignData());
  }
  // Each batch of --json-lines stands in the record, as often as it was announced.
  void ExpectRecorded(const std::string& events) const {
    auto store = Store::Open(workdir_ + "/state/0.sqlite");
    ASSERT_TRUE(store.ok()) << store.status();
    const auto ranges = *store->Recorded(1, "exact", "generation_contract", "random");
    std::istringstream lines(events);
    for (std::string line; std::getline(lines, line);) {
      const json event = json::parse(line, nullptr, false);
      if (!event.is_object() || event.at("event") != "batch") continue;
      EXPECT_THAT(ranges,
                  Contains(std::pair<int64_t, int64_t>(event.at("first"), event.at("cases"))));
    }
  }
  static int CountBatches(const std::string& events) {
    int batches = 0;
    for (size_t at = 0; (at = events.find("\"event\":\"batch\"", at)) != events.npos; ++at) {
      ++batches;
    }
    return batches;
  }
  static bool HasFiveBatches(const std::string& events) { return CountBatches(events) >= 5; }

  const OwnFolder own_;
  const std::string workdir_ = own_.path() + "/work";
};

class SignalTest : public CampaignSystemTest, public testing::WithParamInterface<int> {};

TEST_P(SignalTest, EndsTheCampaignInOrder) {
  CampaignProcess campaign(Command(FaultyExact(), {"--for", "600s"}));
  ASSERT_TRUE(campaign.UntilItPrints("replay: crosscheck replay")) << campaign.errors();
  kill(campaign.pid(), GetParam());
  EXPECT_EQ(campaign.End(), "exit 2") << campaign.errors();  // it has a finding
  EXPECT_EQ(campaign.errors(), "");
  EXPECT_THAT(campaign.printed(), HasSubstr("\nproperty "));  // the summary
  const CampaignData data = Data();
  ASSERT_EQ(data.runs.size(), 1u);
  EXPECT_EQ(data.runs[0].ended, "signal");
  int64_t cases = 0;
  for (const BatchRow& row : data.activity) cases += row.cases;
  EXPECT_GT(cases, 0);
  EXPECT_EQ(data.samples.back().cases, cases);
  EXPECT_THAT(campaign.printed(), HasSubstr(absl::StrCat("\n", cases, " cases in ")));
}

INSTANTIATE_TEST_SUITE_P(All, SignalTest, testing::Values(SIGTERM, SIGHUP, SIGINT),
                         [](const auto& info) { return std::string(sigabbrev_np(info.param)); });

// A second signal does not wait for anything, and what was recorded stays.
TEST_F(CampaignSystemTest, ASecondSignalEndsItAtOnce) {
  CampaignProcess campaign(Command("exact", {"--for", "600s", "--json-lines"}));
  ASSERT_TRUE(campaign.Until(HasFiveBatches)) << campaign.errors();
  kill(campaign.pid(), SIGSTOP);  // so that both arrive before it can end
  kill(campaign.pid(), SIGTERM);
  kill(campaign.pid(), SIGHUP);
  kill(campaign.pid(), SIGCONT);
  EXPECT_THAT(campaign.End(), AnyOf("exit 143", "exit 129", "exit 0"));
  ExpectRecorded(campaign.printed());
}

TEST_F(CampaignSystemTest, ADiskThatTakesNoMoreEndsItWithAMessage) {
  CampaignProcess campaign(Command("exact", {"--for", "600s", "--json-lines"}));
  ASSERT_TRUE(campaign.Until(HasFiveBatches)) << campaign.errors();
  const rlimit nothing{0, 0};  // every write to a file fails from now on
  ASSERT_EQ(prlimit(campaign.pid(), RLIMIT_FSIZE, &nothing, nullptr), 0);
  EXPECT_EQ(campaign.End(), "exit 1");
  EXPECT_THAT(campaign.errors(), HasSubstr(workdir_));
  ExpectRecorded(campaign.printed());
  CampaignProcess next(Command("exact", {"--for", "1s", "--json-lines"}));
  EXPECT_EQ(next.End(), "exit 0") << next.errors();
  ExpectRecorded(campaign.printed() + next.printed());
}

TEST_F(CampaignSystemTest, ADeletedWorkFolderIsSaid) {
  CampaignProcess campaign(Command("exact", {"--for", "600s", "--json-lines"}));
  ASSERT_TRUE(campaign.Until(HasFiveBatches)) << campaign.errors();
  std::filesystem::remove_all(workdir_);
  EXPECT_EQ(campaign.End(), "exit 1");
  EXPECT_THAT(campaign.errors(), HasSubstr("was deleted or replaced while the campaign ran"));
}

// Every reading of the wall clock is a day away from the one before, forwards and backwards.
TEST_F(CampaignSystemTest, AJumpingClockChangesNothing) {
  const auto start = std::chrono::steady_clock::now();
  CampaignProcess campaign(Command("exact", {"--for", "3s", "--json-lines"}),
                           {"LD_PRELOAD=" + (BuildFolder() / "lib/libjumping_clock.so").string()});
  EXPECT_EQ(campaign.End(), "exit 0") << campaign.errors();
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  const CampaignData data = Data();
  ASSERT_EQ(data.runs.size(), 1u);
  EXPECT_EQ(data.runs[0].ended, "time");
  EXPECT_THAT(data.runs[0].started, testing::StartsWith("19"));  // the clock did jump: to 1970
  EXPECT_GE(data.runs[0].seconds, 3);
  EXPECT_LT(data.runs[0].seconds, 60);
  for (size_t i = 1; i < data.samples.size(); ++i) {
    EXPECT_GE(data.samples[i].elapsed, data.samples[i - 1].elapsed);
  }
  EXPECT_GT(data.samples.back().cases, 0);
}

// A file system of a few hundred kilobytes, which only this process and its children see.
class SmallDiskTest : public CampaignSystemTest {
 protected:
  static void SetUpTestSuite() {
    private_ =
        unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }
  void SetUp() override {
    if (!private_ || mount("none", workdir_.c_str(), "tmpfs", 0, "size=300k") != 0) {
      GTEST_SKIP() << "this user may not mount a file system: " << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) umount2(workdir_.c_str(), MNT_DETACH);
  }
  void Remount(unsigned long flags, const char* options) const {
    ASSERT_EQ(mount("none", workdir_.c_str(), "tmpfs", MS_REMOUNT | flags, options), 0)
        << std::strerror(errno);
  }

 private:
  static inline bool private_ = false;
  bool mounted_ = false;
};

TEST_F(SmallDiskTest, AFullDiskEndsItWithAMessageAndRoomLetsItGoOn) {
  CampaignProcess full(Command("exact", {"--for", "600s", "--json-lines"}));
  EXPECT_EQ(full.End(), "exit 1");
  EXPECT_THAT(full.errors(), AnyOf(HasSubstr("disk is full"), HasSubstr("No space left")));
  EXPECT_GE(CountBatches(full.printed()), 1) << full.printed();  // a quick machine's are large
  Remount(0, "size=64m");
  ExpectRecorded(full.printed());
  CampaignProcess next(Command("exact", {"--for", "1s", "--json-lines"}));
  EXPECT_EQ(next.End(), "exit 0") << next.errors();
  ExpectRecorded(full.printed() + next.printed());
  EXPECT_EQ(Data().runs.size(), 2u);
}

TEST_F(SmallDiskTest, AReadOnlyFolderIsSaidBeforeAnythingRuns) {
  Remount(MS_RDONLY, "");
  CampaignProcess campaign(Command("exact", {"--for", "600s", "--json-lines"}));
  EXPECT_EQ(campaign.End(), "exit 1");
  EXPECT_THAT(campaign.errors(), HasSubstr(workdir_));
  EXPECT_THAT(campaign.errors(), HasSubstr("Read-only file system"));
  EXPECT_EQ(CountBatches(campaign.printed()), 0);
}

}  // namespace
}  // namespace crosscheck
