// Every kind of bad input gives one clear message (what, where, what next), exit 1 and nothing
// half-written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using testing::AllOf;
using testing::HasSubstr;

void ExpectError(const CommandResult& result, const testing::Matcher<std::string>& message) {
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_THAT(result.err, message);
  EXPECT_THAT(result.err, testing::Not(HasSubstr("HARNESS BUG")));
}

void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(BadInputTest, UnknownFlagIsNamed) {
  ExpectError(RunCrosscheck("smoke --frobnicate"), HasSubstr("--frobnicate"));
}

TEST(BadInputTest, UnknownVerbAndNoVerbAreErrors) {
  ExpectError(RunCrosscheck("frobnicate"), HasSubstr("frobnicate"));
  EXPECT_EQ(RunCrosscheck("").exit_code, 1);
}

TEST(BadInputTest, UnknownEngineSaysWhichExist) {
  ExpectError(RunCrosscheck("smoke --engine latice --cases 1"),
              AllOf(HasSubstr("latice"), HasSubstr("lattice, hf, exact")));
  ExpectError(RunCrosscheck("smoke --engine faulty:nothing --cases 1"), HasSubstr("nothing"));
}

TEST(BadInputTest, UnknownPropertySaysWhichExist) {
  ExpectError(RunCrosscheck("smoke --property logit_closenes --cases 1"),
              AllOf(HasSubstr("logit_closenes"), HasSubstr("logit_closeness")));
}

TEST(BadInputTest, DurationAndCountsAreChecked) {
  ExpectError(RunCrosscheck("smoke --for soon"), HasSubstr("soon"));
  ExpectError(RunCrosscheck("smoke --cases 0"), HasSubstr("--cases"));
}

TEST(BadInputTest, CorpusFolderMustExist) {
  ExpectError(RunCrosscheck("smoke --cases 1 --corpus /nowhere/corpus"),
              HasSubstr("/nowhere/corpus"));
}

TEST(BadInputTest, CaseFileErrorsHaveLineAndColumn) {
  TemporaryFolder folder;
  std::filesystem::path file = folder.path() / "broken.case";
  Write(file, "subject = model_run\nmodel.hidden = 4\n  model.hiden = 5\n");
  ExpectError(RunCrosscheck("replay " + file.string()),
              AllOf(HasSubstr("broken.case:3:3"), HasSubstr("hiden")));
  Write(file, "subject = model_run\nmodel.hidden = four\n");
  ExpectError(RunCrosscheck("show " + file.string()),
              AllOf(HasSubstr("broken.case:2:"), HasSubstr("four")));
  Write(file, "just words\n");
  ExpectError(RunCrosscheck("replay " + file.string()), HasSubstr("broken.case:1:1"));
}

TEST(BadInputTest, ACampaignWithAnUnknownEngineIsAnError) {
  TemporaryFolder folder;
  ExpectError(RunCrosscheck("fuzz --engine latice --for 5s --workdir " +
                            (folder.path() / "campaign").string()),
              HasSubstr("latice"));
}

TEST(BadInputTest, ConfigurationsOfAComparisonHaveNamesOfTheirOwn) {
  const std::string command = "compare seeds/checkpoints/tiny-qwen35 ";
  ExpectError(RunCrosscheck(command + "--config fp32,q8_0,fp32"), HasSubstr("fp32"));
  ExpectError(RunCrosscheck(command + "--candidate-model some/where/reference/"),
              HasSubstr("reference"));
  ExpectError(RunCrosscheck(command + "--config q4_zym"), HasSubstr("q4_sym"));
}

TEST(BadInputTest, MissingCaseFileIsNamed) {
  ExpectError(RunCrosscheck("replay no/such.case"), HasSubstr("no/such.case"));
}

TEST(BadInputTest, MissingTruncatedAndUnsupportedCheckpointsAreErrors) {
  TemporaryFolder folder;
  ExpectError(RunCrosscheck("golden check " + (folder.path() / "none").string()),
              HasSubstr("none"));
  std::filesystem::path golden = folder.path() / "qwen35-tiny";
  std::filesystem::copy("tests/golden/qwen35-tiny", golden);
  std::filesystem::resize_file(golden / "model.safetensors", 600);
  ExpectError(RunCrosscheck("golden check " + golden.string()), HasSubstr("model.safetensors"));
  ExpectError(RunCrosscheck("golden check tests/golden/qwen3-gqa"), HasSubstr("qwen3"));
}

TEST(BadInputTest, UnwritableOutputIsFoundBeforeTheRun) {
  ExpectError(RunCrosscheck("smoke --engine exact:fp32 --cases 3 --out /proc/findings"),
              HasSubstr("/proc/findings"));
}

TEST(BadInputTest, FullDiskLeavesNothingHalfWritten) {
  TemporaryFolder folder;
  std::string json = (folder.path() / "report.json").string();
  // A file size limit of zero stands in for a full disk: every write fails.
  CommandResult result = RunCrosscheck("list --json " + json, "ulimit -f 0; ");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(json));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(BadInputTest, LatticeWithoutItsLibraryIsAnErrorWithAHint) {
  TemporaryFolder folder;
  // The command and the host alone, without lib/: what a build without cargo looks like.
  for (const char* name : {"crosscheck", "crosscheck-host"}) {
    std::filesystem::copy_file(BuildFolder() / name, folder.path() / name);
  }
  std::string command = (folder.path() / "crosscheck").string();
  TemporaryFolder output;
  std::string err = (output.path() / "err").string();
  int status =
      std::system((command + " smoke --engine lattice --cases 1 >/dev/null 2>" + err).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(Slurp(err), HasSubstr("cargo"));
}

}  // namespace
}  // namespace crosscheck
