// Where a greedy continuation ends: a prompt's own budget and stop texts.
#include "quality/stop_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "quality/compare.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

using testing::HasSubstr;

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

TEST(StopText, NoTextLeavesTheContinuationAndNeedsNoTokenizer) {
  Generated generated{.ids = {5, 6, 7}, .stop = "eos"};
  ASSERT_TRUE(EndAtStopText(nullptr, {}, generated).ok());
  EXPECT_THAT(generated.ids, testing::ElementsAre(5, 6, 7));
  EXPECT_EQ(generated.stop, "eos");
  EXPECT_TRUE(absl::IsFailedPrecondition(EndAtStopText(nullptr, {"a"}, generated)));
}

TEST(StopText, TheTokenThatCompletesATextIsTheLastOne) {
  const auto tokenizer = Tokenizer::Load(kModel);
  if (!tokenizer.ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const auto ids = (*tokenizer)->Encode("one two\nthree four", kPlainText);
  ASSERT_TRUE(ids.ok()) << ids.status();
  Generated generated{.ids = *ids, .stop = "length"};
  ASSERT_TRUE(EndAtStopText(tokenizer->get(), {"absent", "\nth"}, generated).ok());
  EXPECT_EQ(generated.stop, "stop");
  EXPECT_LT(generated.ids.size(), ids->size());
  EXPECT_THAT(*(*tokenizer)->Decode(generated.ids), HasSubstr("\nth"));
  generated.ids.pop_back();
  EXPECT_THAT(*(*tokenizer)->Decode(generated.ids), testing::Not(HasSubstr("\nth")));
  Generated other{.ids = *ids, .stop = "length"};
  ASSERT_TRUE(EndAtStopText(tokenizer->get(), {"absent"}, other).ok());
  EXPECT_EQ(other.ids, *ids);
  EXPECT_EQ(other.stop, "length");
}

TEST(StopText, EndsAreNumbersInADump) {
  for (const std::string_view name : kEndNames) EXPECT_EQ(EndName(EndCode(name)), name);
  EXPECT_EQ(EndName(7), "eos");
}

// Two prompts as ids; `further` are fields of the first one.
CompareOptions TwoPrompts(const std::string& folder, const std::string& further) {
  std::filesystem::create_directories(folder);
  const std::string lines = absl::StrCat("{\"id\": \"a\", \"ids\": [1022, 536, 198]", further,
                                         "}\n", "{\"id\": \"b\", \"ids\": [263, 68, 410, 324]}\n");
  EXPECT_TRUE(WriteFile(folder + "/prompts.jsonl", lines).ok());
  CompareOptions options;
  options.model = kModel;
  options.inputs.prompts_file = folder + "/prompts.jsonl";
  options.out = folder + "/out";
  options.greedy_tokens = 12;
  options.forced_positions = 16;
  options.layer_prompts = options.sampled_prompts = options.draw_positions = 0;
  options.configurations = {*ParseConfiguration("fp32", "torch:fp32")};
  return options;
}

struct Runs {
  std::map<std::string, std::vector<std::vector<int32_t>>> ids;  // by side, of each prompt
  std::map<std::string, std::vector<std::string_view>> ends;
  ConfigurationResult result;
};

Runs RunsOf(const CompareOptions& options) {
  Runs runs;
  const auto comparison = Compare(options);
  EXPECT_TRUE(comparison.ok()) << comparison.status();
  if (!comparison.ok()) return runs;
  runs.result = comparison->configurations[0];
  for (const std::string side : {"reference", "fp32"}) {
    const auto dump = DumpReader::Open(options.out + "/dumps/" + side);
    for (int item = 0; item < 2; ++item) {
      const auto ids = (*(*dump)->Read("greedy", item, "ids"))->As<int32_t>();
      runs.ids[side].emplace_back(ids.begin(), ids.end());
      runs.ends[side].push_back(
          EndName((*(*dump)->Read("greedy", item, "ended"))->As<int32_t>()[0]));
    }
  }
  return runs;
}

std::vector<int32_t> First(std::vector<int32_t> ids, size_t count) {
  ids.resize(count);
  return ids;
}

TEST(CompareEnds, ABudgetOfThePromptEndsBothSidesAndThePositionsBehindIt) {
  const OwnFolder folder;
  const Runs whole = RunsOf(TwoPrompts(folder.path() + "/whole", ""));
  ASSERT_GT(whole.ids.at("reference")[0].size(), 5U);
  const Runs cut = RunsOf(TwoPrompts(folder.path() + "/cut", ", \"max_tokens\": 5"));
  for (const std::string side : {"reference", "fp32"}) {
    EXPECT_EQ(cut.ids.at(side)[0], First(whole.ids.at(side)[0], 5)) << side;
    EXPECT_EQ(cut.ids.at(side)[1], whole.ids.at(side)[1]) << side;
    EXPECT_EQ(cut.ends.at(side)[0], "length") << side;
  }
  EXPECT_EQ(cut.result.kl_rows[0].size(), 6U);  // before each token and behind the last
  EXPECT_EQ(cut.result.kl_rows[1].size(), whole.result.kl_rows[1].size());
  EXPECT_EQ(cut.result.metrics.at("greedy_match_12").value, 1);
  // The run's own budget is the most.
  const Runs large = RunsOf(TwoPrompts(folder.path() + "/large", ", \"max_tokens\": 500"));
  EXPECT_EQ(large.ids, whole.ids);
}

TEST(CompareEnds, AStopTextEndsBothSides) {
  const auto tokenizer = Tokenizer::Load(kModel);
  if (!tokenizer.ok()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const OwnFolder folder;
  const Runs whole = RunsOf(TwoPrompts(folder.path() + "/whole", ""));
  const std::vector<int32_t>& ids = whole.ids.at("reference")[0];
  const std::string text = *(*tokenizer)->Decode({ids[6]});  // a later one of the continuation
  const Runs cut = RunsOf(
      TwoPrompts(folder.path() + "/cut", ", \"stop\": [" + nlohmann::json(text).dump() + "]"));
  Generated expected{.ids = ids, .stop = "length"};
  ASSERT_TRUE(EndAtStopText(tokenizer->get(), {text}, expected).ok());
  ASSERT_LT(expected.ids.size(), 8U);
  for (const std::string side : {"reference", "fp32"}) {
    EXPECT_EQ(cut.ids.at(side)[0], expected.ids) << side;
    EXPECT_EQ(cut.ends.at(side)[0], "stop") << side;
    EXPECT_EQ(cut.ids.at(side)[1], whole.ids.at(side)[1]) << side;
  }
  EXPECT_EQ(cut.result.metrics.at("greedy_match_12").value, 1);
}

TEST(CompareEnds, AnEngineThatGoesAnotherWayIsStillADivergence) {
  const OwnFolder folder;
  CompareOptions options = TwoPrompts(folder.path(), ", \"max_tokens\": 5");
  options.configurations = {*ParseConfiguration("fp32@faulty:second_token", "torch:fp32")};
  const auto comparison = Compare(options);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  EXPECT_EQ(comparison->configurations[0].metrics.at("greedy_match_12").value, 0);
}

TEST(CompareEnds, DumpsOfAnotherEndAreNotTakenForThese) {
  const OwnFolder folder;
  RunsOf(TwoPrompts(folder.path(), ""));
  const auto again = Compare(TwoPrompts(folder.path(), ", \"max_tokens\": 5"));
  EXPECT_THAT(std::string(again.status().message()), HasSubstr("/tracks/greedy/max_tokens"));
}

}  // namespace
}  // namespace crosscheck::quality
