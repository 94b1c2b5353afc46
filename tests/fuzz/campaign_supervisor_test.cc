// Whole campaigns with real worker processes.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "fuzz/campaign/corpus_file.h"
#include "fuzz/corpus_store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/campaign_runner.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::Contains;
using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kReducedOne = [](const CampaignRun& run) { return !run.reduced.empty(); };

int64_t CasesOf(const std::vector<BatchRow>& rows, std::string_view driver) {
  int64_t cases = 0;
  for (const BatchRow& row : rows) cases += row.driver == driver ? row.cases : 0;
  return cases;
}

class CampaignTest : public testing::Test {
 protected:
  CampaignOptions Quick(const std::string& engine) const {
    return QuickCampaign(own_.path(), engine);
  }
  CampaignData Data() const {
    auto data = ReadCampaign(own_.path());
    EXPECT_TRUE(data.ok()) << data.status();
    return data.value_or(CampaignData());
  }

  const OwnFolder own_;
};

TEST_F(CampaignTest, AFindingIsReportedReducedAndConfirmedInAFreshProcess) {
  CampaignRun run(Quick(FaultyExact()));
  const auto ended = run.Until(kReducedOne);
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(*ended, "signal");
  ASSERT_FALSE(run.found.empty());
  EXPECT_EQ(run.found[0].state, FindingState::kNew);
  const FindingRow& reduced = run.reduced.at(0);
  EXPECT_EQ(reduced.state, FindingState::kConfirmed);
  EXPECT_EQ(reduced.failures, reduced.replays);
  const auto entry = ReadEntry(reduced.case_file);
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(entry->signature.ToString(), reduced.signature);
  EXPECT_EQ(entry->build, "build-1");

  const CampaignData data = Data();
  int64_t findings = 0, counted = 0;
  for (const BatchRow& row : data.activity) {
    findings += row.findings;
    EXPECT_EQ(row.cases, row.passed + row.near_ties + row.unsupported + row.setup_errors +
                             row.findings + row.known);
  }
  for (const FindingRow& finding : data.findings) counted += finding.count;
  EXPECT_EQ(findings, counted);
  EXPECT_EQ(data.runs.at(0).ended, "signal");
  EXPECT_FALSE(data.samples.empty());
  EXPECT_EQ(data.samples.back().cases, CasesOf(run.batches, "random") +
                                           CasesOf(run.batches, "corpus") +
                                           CasesOf(run.batches, "recheck"));
  EXPECT_THAT(data.counters, Contains(Field(&CounterRow::kind, "label")));
}

TEST_F(CampaignTest, TheNextRunGoesOnAndRepeatsNothing) {
  for (int i = 0; i < 2; ++i) {
    CampaignRun run(Quick(FaultyExact()));
    ASSERT_TRUE(run.Until(kReducedOne).ok());
    if (i == 0) continue;
    EXPECT_EQ(CasesOf(run.batches, "recheck"), 0) << "the build knows its corpus";
  }
  auto store = Store::Open(own_.path() + "/state/0.sqlite");
  int64_t end = 0;
  const auto ranges = store->Recorded(1, FaultyExact(), "generation_contract", "random");
  for (const auto& [first, cases] : *ranges) {
    EXPECT_EQ(first, end);
    end = first + cases;
  }
  EXPECT_EQ(Data().runs.at(1).start_elapsed, Data().runs.at(0).seconds);
}

TEST_F(CampaignTest, ANewBuildRunsTheWholeCorpusAgain) {
  CampaignRun first(Quick("exact"));
  ASSERT_TRUE(first.Until([](const CampaignRun& run) { return run.last.inputs > 5; }).ok());
  const auto records = ReadCorpusRecords(own_.path() + "/corpus.000000", 0);
  CampaignOptions options = Quick("exact");
  options.build = "build-2";
  CampaignRun second(options);
  const auto inputs = static_cast<int64_t>(records->payloads.size());
  ASSERT_TRUE(
      second
          .Until([&](const CampaignRun& run) { return CasesOf(run.batches, "recheck") >= inputs; })
          .ok());
  EXPECT_EQ(CasesOf(second.batches, "recheck"), inputs);
  auto store = Store::Open(own_.path() + "/state/0.sqlite");
  EXPECT_FALSE(store->Features("build-2")->empty());
  // What the corpus showed again is not written a second time.
  const auto after = ReadCorpusRecords(own_.path() + "/corpus.000000", 0);
  EXPECT_EQ(std::vector<std::string>(after->payloads.begin(), after->payloads.begin() + inputs),
            records->payloads);
}

TEST_F(CampaignTest, TwoShardsExchangeInputsAndShareFindings) {
  CampaignOptions options = Quick(FaultyExact());
  options.shards = 2;
  CampaignRun first(options);
  ASSERT_TRUE(first.Until(kReducedOne).ok());
  const int64_t inputs =
      static_cast<int64_t>(ReadCorpusRecords(own_.path() + "/corpus.000000", 0)->payloads.size());
  options.shard = 1;
  CampaignRun second(options);
  ASSERT_TRUE(second
                  .Until([&](const CampaignRun& run) {
                    const auto& findings = first.found;
                    int64_t seen = 0;
                    for (const BatchRow& row : run.batches) seen += row.findings;
                    return CasesOf(run.batches, "recheck") >= inputs && !findings.empty() &&
                           seen > 0;
                  })
                  .ok());
  EXPECT_GE(CasesOf(second.batches, "recheck"), inputs);
  for (const FindingRow& finding : first.found) {
    EXPECT_THAT(second.found, Each(Field(&FindingRow::signature, testing::Ne(finding.signature))));
  }
  const CampaignData data = Data();
  EXPECT_EQ(data.findings.size(), first.found.size() + second.found.size());
  EXPECT_THAT(data.findings,
              Each(Field(&FindingRow::state, testing::Ne(FindingState::kElsewhere))));
}

TEST_F(CampaignTest, BeyondTheDiskQuotaNoInputIsAdded) {
  CampaignOptions options = Quick("exact");
  options.max_disk_bytes = 1000;
  CampaignRun run(options);
  ASSERT_TRUE(
      run.Until([](const CampaignRun& r) { return CasesOf(r.batches, "random") > 500; }).ok());
  EXPECT_THAT(run.notices, Contains(HasSubstr("--max-disk")));
  const int64_t kept = run.samples.back().inputs;
  int64_t showed_new = 0;
  for (const BatchRow& row : run.batches) showed_new += row.new_inputs;
  EXPECT_LT(kept, showed_new);
}

TEST_F(CampaignTest, ADeletedWorkFolderEndsTheCampaignWithAnError) {
  CampaignRun run(Quick("exact"));
  bool deleted = false;
  const auto ended = run.Until([&](const CampaignRun& r) {
    if (!deleted && r.last.cases > 0) {
      std::filesystem::remove_all(own_.path());
      deleted = true;
    }
    return false;
  });
  EXPECT_THAT(std::string(ended.status().message()), HasSubstr("was deleted or replaced"));
}

TEST_F(CampaignTest, AnEngineThatGrowsIsStartedAgainAndTheCampaignGoesOn) {
  CampaignOptions options = Quick((BuildFolder() / "lib/libleaking_exact.so").string());
  options.max_process_bytes = int64_t{200} << 20;
  CampaignRun run(options);
  const auto restarts = [](const CampaignRun& r) {
    return std::count_if(r.notices.begin(), r.notices.end(), [](const std::string& notice) {
      return notice.find("more than --max-memory") != notice.npos;
    });
  };
  int64_t cases = 0;
  ASSERT_TRUE(run.Until([&](const CampaignRun& r) {
                   if (restarts(r) < 2) cases = r.last.cases;
                   return restarts(r) >= 2 && r.last.cases > cases;
                 })
                  .ok());
  EXPECT_GE(restarts(run), 2);
  EXPECT_THAT(run.found, IsEmpty());
  for (const SampleRow& sample : run.samples) {
    EXPECT_LT(sample.engine_bytes(), int64_t{400} << 20);
  }
  const CampaignData data = Data();
  EXPECT_THAT(data.restarts, Each(Field(&RestartRow::what, "memory")));
  for (const BatchRow& row : data.activity) {
    EXPECT_EQ(row.cases, row.passed + row.near_ties + row.unsupported);
  }
}

TEST_F(CampaignTest, AFolderThatCannotBeWrittenIsAnError) {
  CampaignOptions options = Quick("exact");
  options.workdir = "/proc/nowhere";
  EXPECT_THAT(std::string(RunCampaign(options, {}).status().message()),
              HasSubstr("cannot create the work directory /proc/nowhere"));
  options = Quick("exact");
  options.state_folder = "/proc/nowhere";
  EXPECT_THAT(std::string(RunCampaign(options, {}).status().message()),
              HasSubstr("/proc/nowhere/0.sqlite"));
}

TEST_F(CampaignTest, AnEngineThatDoesNotExistIsAnErrorBeforeAnythingRuns) {
  const auto ended = RunCampaign(Quick("nonesuch"), {});
  EXPECT_THAT(std::string(ended.status().message()), HasSubstr("nonesuch"));
}

TEST_F(CampaignTest, ATornCorpusFileIsRepairedAndReported) {
  CampaignRun first(Quick("exact"));
  ASSERT_TRUE(first.Until([](const CampaignRun& run) { return run.last.inputs > 2; }).ok());
  const auto before = ReadCorpusRecords(own_.path() + "/corpus.000000", 0);
  std::ofstream(own_.path() + "/corpus.000000", std::ios::app) << "xin1 half a rec";
  CampaignRun second(Quick("exact"));
  ASSERT_TRUE(second.Until([](const CampaignRun& run) { return !run.batches.empty(); }).ok());
  EXPECT_THAT(second.notices, Contains(HasSubstr("was torn (15 bytes")));
  const auto after = ReadCorpusRecords(own_.path() + "/corpus.000000", 0);
  EXPECT_EQ(after->skipped_bytes, 0);
  EXPECT_GE(after->payloads.size(), before->payloads.size());
}

}  // namespace
}  // namespace crosscheck
