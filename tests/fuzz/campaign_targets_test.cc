// From a finding of a libFuzzer target to a case that is replayed: by hand, and inside a campaign.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "fuzz/campaign/corpus_file.h"
#include "fuzz/campaign/fuzz_targets.h"
#include "fuzz/corpus_store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/campaign_runner.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

// The target of tests/CMakeLists.txt: subject generation, engine FaultyExact().
fs::path Targets() { return BuildFolder() / "tests/targets"; }

std::vector<std::string> FilesOf(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class TargetFindingTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(Path("artifacts")); }
  std::string Path(const std::string& name) const { return own_.path() + "/" + name; }

  // The artifact of libFuzzer's finding, and what it printed.
  std::string Search() {
    const std::string line =
        (Targets() / "generation_fuzzer").string() +
        " -seed=1 -max_len=256 -runs=20000 -artifact_prefix=" + Path("artifacts/") + " >" +
        Path("log") + " 2>&1";
    const int status = std::system(line.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 77) << Slurp(Path("log"));
    const std::vector<std::string> files = FilesOf(Path("artifacts"));
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? "" : files[0];
  }

  const OwnFolder own_;
};

TEST_F(TargetFindingTest, AnArtifactBecomesAReducedCaseThatReplays) {
  const std::string artifact = Search();
  EXPECT_THAT(artifact, HasSubstr("crash-"));
  // The target says which command that is, and the command finds what the target found.
  const std::string log = Slurp(Path("log"));
  const std::string flags = " --subject generation --engine " + FaultyExact();
  EXPECT_THAT(log, HasSubstr("crosscheck minimise INPUT" + flags));
  const CommandResult reduced =
      RunCrosscheck("minimise " + artifact + flags + " --out " + Path("reduced"));
  EXPECT_EQ(reduced.exit_code, 2) << reduced.out << reduced.err;
  const auto cases = ListCaseFiles(Path("reduced"));
  ASSERT_TRUE(cases.ok()) << cases.status();
  ASSERT_EQ(cases->size(), 1u);
  const auto entry = ReadEntry(cases->at(0));
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_THAT(log, HasSubstr(entry->signature.ToLine()));
  const CommandResult replayed = RunCrosscheck("replay " + cases->at(0));
  EXPECT_EQ(replayed.exit_code, 2) << replayed.out;
  EXPECT_THAT(replayed.out, HasSubstr(entry->signature.ToString()));
  // An engine without the fault passes both.
  EXPECT_EQ(RunCrosscheck("replay " + cases->at(0) + " --engine exact").exit_code, 0);
  EXPECT_EQ(RunCrosscheck("replay " + artifact + " --subject generation --engine exact").exit_code,
            0);
}

TEST_F(TargetFindingTest, BytesWithoutTheirSubjectAreAnErrorThatSaysWhatToGive) {
  std::ofstream(Path("crash-1")) << "\1\2\3";
  const CommandResult bare = RunCrosscheck("replay " + Path("crash-1") + " --engine exact");
  EXPECT_EQ(bare.exit_code, 1);
  EXPECT_THAT(bare.err, HasSubstr("--subject"));
  const CommandResult unknown =
      RunCrosscheck("show " + Path("crash-1") + " --subject nonesuch --engine exact");
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("there is no subject 'nonesuch'; there are: model_run"));
}

TEST_F(TargetFindingTest, ACampaignTurnsItIntoAConfirmedCase) {
  // Among what the target starts from, so that a slice is long enough on any machine.
  const std::string corpus = Path("campaign/state/targets.0/generation_fuzzer/corpus");
  fs::create_directories(corpus);
  fs::copy_file(Search(), corpus + "/seed");
  CampaignOptions options = QuickCampaign(Path("campaign"), FaultyExact());
  options.strategy = "targets";  // the random driver would find the fault before the target does
  options.random_driver = options.corpus_driver = false;
  options.targets = Targets().string();
  options.slice_seconds = 2;
  CampaignRun run(options);
  const auto of_target = [](const BatchRow& row) { return row.driver == "libfuzzer"; };
  const auto replayed = [](const BatchRow& row) {
    return row.driver == "recheck" && row.findings + row.known > 0;
  };
  const auto ended = run.Until([&](const CampaignRun& r) {
    return !r.reduced.empty() && std::any_of(r.batches.begin(), r.batches.end(), replayed);
  });
  ASSERT_TRUE(ended.ok()) << ended.status();
  ASSERT_EQ(*ended, "signal") << "the target's finding was not replayed";
  EXPECT_TRUE(std::any_of(run.batches.begin(), run.batches.end(), of_target));
  for (const std::string& notice : run.notices) {
    EXPECT_THAT(notice, Not(HasSubstr("does not fail in crosscheck")));
  }
  const auto entry = ReadEntry(run.reduced.at(0).case_file);
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(RunCrosscheck("replay " + run.reduced.at(0).case_file).exit_code, 2);
}

// What does not fail in crosscheck stays in its folder; it is no news after every slice.
TEST(FuzzTargetsTest, AnArtifactIsReportedOnce) {
  const OwnFolder own;
  const std::string target = own.path() + "/out/generation_fuzzer";
  fs::create_directories(own.path() + "/out");
  std::ofstream(target) << "#!/bin/sh\nfor flag; do case $flag in -artifact_prefix=*)\n"
                           "echo x >${flag#*=}timeout-1;; esac; done\n";
  fs::permissions(target, fs::perms::owner_all);
  auto targets = FuzzTargets::Find(own.path() + "/out", own.path() + "/copy", {"generation"});
  ASSERT_TRUE(targets.ok()) << targets.status();
  for (const size_t artifacts : {1, 0}) {
    const auto command = targets->Prepare(0, 1, {});
    ASSERT_TRUE(command.ok()) << command.status();
    auto process = ChildProcess::Start(*command, {"PATH=/bin:/usr/bin"});
    ASSERT_TRUE(process.ok()) << process.status();
    const FuzzTargets::SliceResult slice = targets->Collect(0, **process);
    EXPECT_EQ(slice.artifacts.size(), artifacts);
    EXPECT_EQ(slice.problem.empty(), artifacts > 0) << "a slice that ran nothing is said";
  }
}

TEST_F(TargetFindingTest, AmongAllDriversWhatATargetLeftIsReplayed) {
  const std::string artifact = Search();
  const std::string folder = Path("campaign/state/targets.0/generation_fuzzer/artifacts");
  fs::create_directories(folder);
  const std::string left = folder + "/" + fs::path(artifact).filename().string();
  fs::copy_file(artifact, left);
  CampaignOptions options = QuickCampaign(Path("campaign"), FaultyExact());
  options.strategy = "all";
  options.targets = Targets().string();
  options.slice_seconds = 1;
  CampaignRun run(options);
  ASSERT_TRUE(run.Until([&](const CampaignRun&) { return !fs::exists(left); }).ok());
  EXPECT_FALSE(fs::exists(left)) << "it was not replayed";
  EXPECT_THAT(run.batches, Contains(testing::AllOf(Field(&BatchRow::driver, "recheck"),
                                                   Field(&BatchRow::findings, testing::Gt(0)))));
}

// The same object file of the target, linked with each main that is installed.
class EveryMainTest : public TargetFindingTest, public testing::WithParamInterface<const char*> {};

TEST_P(EveryMainTest, PassesACleanInputAndStopsAtTheFindingWithItsLine) {
  const std::string program = (Targets() / GetParam()).string();
  if (!fs::exists(program)) {
    GTEST_SKIP() << "the engine's library was not found when this build was configured";
  }
  std::ofstream(Path("clean")) << "";
  const auto run = [&](const std::string& input) {
    return std::system(
        absl::StrCat(program, " ", input, " >", Path("log"), " 2>&1 </dev/null").c_str());
  };
  EXPECT_EQ(run(Path("clean")), 0) << Slurp(Path("log"));
  const std::string artifact = Search();
  EXPECT_NE(run(artifact), 0);
  EXPECT_THAT(Slurp(Path("log")), HasSubstr("Assertion failure: generation-contract/"));
}

INSTANTIATE_TEST_SUITE_P(Mains, EveryMainTest,
                         testing::Values("generation_fuzzer", "generation_standalone",
                                         "generation_afl", "generation_honggfuzz",
                                         "generation_centipede"));

TEST_F(TargetFindingTest, TargetsAloneNeedATarget) {
  CampaignOptions options = QuickCampaign(Path("campaign"), FaultyExact());
  options.random_driver = options.corpus_driver = false;
  options.targets = Path("artifacts");
  EXPECT_THAT(std::string(RunCampaign(options, {}).status().message()),
              HasSubstr("nothing to run"));
}

TEST_F(TargetFindingTest, TheCorpusOfACampaignIsDistilledReplayedAndMeasured) {
  CampaignRun run(QuickCampaign(Path("campaign"), "exact"));
  ASSERT_TRUE(run.Until([](const CampaignRun& r) { return r.last.inputs > 10; }).ok());
  const std::string corpus = Path("campaign/corpus.000000");
  const auto before = ReadCorpusRecords(corpus, 0);
  std::ofstream(corpus, std::ios::app) << "half a record";

  const CommandResult distilled = RunCrosscheck("distil " + Path("campaign") + " --engine exact" +
                                                " --out " + Path("small") + " --json -");
  ASSERT_EQ(distilled.exit_code, 0) << distilled.err;
  const auto json = nlohmann::json::parse(distilled.out);
  EXPECT_EQ(json["inputs"], before->payloads.size());
  const auto kept = ReadCorpusRecords(Path("small/corpus.000000"), 0);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(json["kept"], kept->payloads.size());
  EXPECT_GT(kept->payloads.size(), 0u);
  EXPECT_LT(kept->payloads.size(), before->payloads.size());
  for (const std::string& payload : kept->payloads)
    EXPECT_THAT(before->payloads, Contains(payload));
  // What is kept shows as much.
  const CommandResult again = RunCrosscheck("distil " + Path("small") + " --engine exact --out " +
                                            Path("smaller") + " --json -");
  EXPECT_EQ(nlohmann::json::parse(again.out)["features"], json["features"]);
  EXPECT_EQ(RunCrosscheck("distil " + Path("small") + " --engine exact --out " + Path("smaller"))
                .exit_code,
            1)
      << "a second corpus would be added to the first";
  EXPECT_EQ(RunCrosscheck("replay " + Path("small/corpus.000000") + " --engine exact").exit_code,
            0);

  // By libFuzzer's features: the inputs become bytes of the target.
  const CommandResult edges =
      RunCrosscheck("distil " + corpus + " --engine exact --out " + Path("bytes") + " --target " +
                    (Targets() / "generation_fuzzer").string());
  EXPECT_EQ(edges.exit_code, 0) << edges.err;
  EXPECT_THAT(FilesOf(Path("bytes")), Each(Not(HasSubstr(".case"))));

  const CommandResult measured = RunCrosscheck("coverage " + corpus + " --engine exact --json -" +
                                               " --targets " + Path("none"));
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const auto cells = nlohmann::json::parse(measured.out)["model"];
  EXPECT_THAT(cells,
              Contains(testing::AllOf(
                  testing::ResultOf([](const auto& c) { return c["path"]; }, "generated"),
                  testing::ResultOf([](const auto& c) { return c["requests"] > 0; }, true))));
}

}  // namespace
}  // namespace crosscheck
