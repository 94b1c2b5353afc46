// What users of a long comparison rely on: it says what it will do and how far it is, does less
// when asked, and refuses what cannot be compared before it computes, by name and with a way out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/command.h"

namespace crosscheck {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kModel = "seeds/checkpoints/tiny-qwen35";

class CompareHabitsTest : public testing::Test {
 protected:
  // Of the model, by libtorch alone, on two short prompts of ids.
  CommandResult Compare(const std::string& flags, const std::string& model = kModel) const {
    return RunCrosscheck("compare " + model +
                         " --engine torch --positions 8 --greedy-tokens 8 --layer-prompts 0 "
                         "--sampled-prompts 0 --out " +
                         Path("out") + " " + flags);
  }
  std::string Prompts(const std::string& lines) const {
    std::ofstream(Path("prompts.jsonl")) << lines;
    return "--prompts " + Path("prompts.jsonl") + " ";
  }
  std::string TwoPrompts() const {
    return Prompts("{\"id\": \"a\", \"ids\": [5, 6]}\n{\"id\": \"b\", \"ids\": [7]}\n");
  }
  std::string Path(const std::string& name) const { return (folder_.path() / name).string(); }
  bool Computed() const { return std::filesystem::exists(Path("out") + "/dumps"); }

  const TemporaryFolder folder_;
};

TEST_F(CompareHabitsTest, ADryRunSaysWhatHowLongAndHowLargeAndMakesNothing) {
  const CommandResult result = Compare(TwoPrompts() + "--config fp32,q4_sym --dry-run");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("2 prompts"), HasSubstr("positions: at most 16"),
                    HasSubstr("mode full, about 0.0"), HasSubstr("MiB"), HasSubstr("time: about"),
                    HasSubstr("configuration q4_sym: torch")));
  EXPECT_FALSE(Computed());
}

TEST_F(CompareHabitsTest, ProgressHasALineForEachTrackWithItsTime) {
  const CommandResult result = Compare(TwoPrompts());
  EXPECT_THAT(result.err, AllOf(HasSubstr("reference, greedy: 2/2, "), HasSubstr(" s\n"),
                                HasSubstr("reference, forced: 1"), HasSubstr("fp32, forced: 1")));
}

TEST_F(CompareHabitsTest, LimitUsesTheFirstPrompts) {
  const CommandResult result = Compare(TwoPrompts() + "--limit 1 --json -");
  EXPECT_THAT(result.out, HasSubstr("\"prompts\": 1,"));
  EXPECT_THAT(result.err, HasSubstr("reference, greedy: 1/1, "));
}

TEST_F(CompareHabitsTest, PromptFilesWithoutAPromptAreRefused) {
  for (const char* lines : {"", "\n\n"}) {
    const CommandResult result = Compare(Prompts(lines));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, AllOf(HasSubstr("prompts.jsonl: no prompt"), HasSubstr("expected")));
  }
  EXPECT_FALSE(Computed());
}

TEST_F(CompareHabitsTest, PromptsBeyondTheContextAreRefusedByIdOrCut) {
  std::string ids = "1";
  for (int i = 0; i < 3000; ++i) ids += ",2";
  const std::string prompts = Prompts("{\"id\": \"long-one\", \"ids\": [" + ids + "]}\n");
  const CommandResult refused = Compare(prompts);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("\"long-one\" has 3001 tokens"),
                                 HasSubstr("the context is 2048"), HasSubstr("--truncate-left")));
  EXPECT_FALSE(Computed());
  const CommandResult cut = Compare(prompts + "--truncate-left --dry-run");
  EXPECT_EQ(cut.exit_code, 0) << cut.err;
  const CommandResult outside = Compare(Prompts("{\"id\": \"w\", \"ids\": [1024]}\n"));
  EXPECT_EQ(outside.exit_code, 1);
  EXPECT_THAT(outside.err, AllOf(HasSubstr("\"w\" has token 1024"), HasSubstr("vocabulary is 1024"),
                                 Not(HasSubstr("--truncate-left"))));
}

TEST_F(CompareHabitsTest, AMissingTokenizerIsNamedWhereTextHasToBecomeIds) {
  const std::string model = Path("model");
  std::filesystem::copy(kModel, model);
  std::filesystem::remove(model + "/tokenizer.json");
  const CommandResult text = Compare(Prompts("{\"id\": \"a\", \"text\": \"Hi\"}\n"), model);
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.err, AllOf(HasSubstr("has no tokenizer.json"), HasSubstr("\"ids\"")));
  EXPECT_FALSE(Computed());
  const CommandResult ids = Compare(TwoPrompts(), model);
  EXPECT_THAT(ids.out, HasSubstr("| fp32 |"));
}

TEST_F(CompareHabitsTest, ACandidateOfAnotherVocabularyIsRefusedBeforeAnythingIsComputed) {
  const CommandResult result = Compare(TwoPrompts() + "--candidate-model tests/golden/qwen35-tiny");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("qwen35-tiny: a vocabulary of 8"),
                                HasSubstr("the reference has 1024")));
  EXPECT_FALSE(Computed());
}

TEST_F(CompareHabitsTest, LogitsThatAreNoNumbersFailAConfiguration) {
  const CommandResult result = Compare(TwoPrompts() + "--config fp32@faulty:nan");
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.out, HasSubstr("| fp32@faulty:nan | FAIL |"));
  EXPECT_THAT(Slurp(Path("out") + "/compare.md"),
              HasSubstr("positions with NaN or infinite logits"));
}

TEST_F(CompareHabitsTest, DumpsOfAnotherComparisonAreRefusedWithBothValues) {
  ASSERT_THAT(Compare(TwoPrompts()).out, HasSubstr("| fp32 |"));
  const std::string dumps = Path("out") + "/dumps";
  const CommandResult resumed = Compare(TwoPrompts() + "--seed 2");
  EXPECT_EQ(resumed.exit_code, 1);
  EXPECT_THAT(resumed.err, AllOf(HasSubstr("/seed: 1 and 2"), HasSubstr("--out")));

  const std::string recorded = "compare --out " + Path("second") + " --reference-dump " + dumps;
  const CommandResult same = RunCrosscheck(recorded + "/reference --candidate-dump " + dumps +
                                           "/fp32 --noise-dump " + dumps + "/noise-floor");
  EXPECT_THAT(same.out, HasSubstr("| fp32 |")) << same.err;
  EXPECT_TRUE(std::filesystem::exists(Path("second") + "/compare.html"));
  const CommandResult dry =
      RunCrosscheck(recorded + "/reference --candidate-dump " + dumps + "/fp32 --dry-run");
  EXPECT_THAT(dry.out, AllOf(HasSubstr("forced 2 items"), HasSubstr("mode full"))) << dry.err;
  std::ofstream(dumps + "/fp32/prompts.jsonl") << "{\"id\": \"a\", \"ids\": [5, 7]}\n";
  const CommandResult other =
      RunCrosscheck(recorded + "/reference --candidate-dump " + dumps + "/fp32");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, AllOf(HasSubstr("SETUP_ERROR"), HasSubstr("SHA-256")));
  EXPECT_THAT(RunCrosscheck(recorded + "/none --candidate-dump " + dumps + "/fp32").err,
              HasSubstr("/none is no dump"));
  EXPECT_EQ(RunCrosscheck(recorded + "/reference").exit_code, 1);
  EXPECT_THAT(RunCrosscheck("compare --out " + Path("third")).err, HasSubstr("--reference-dump"));
}

}  // namespace
}  // namespace crosscheck
