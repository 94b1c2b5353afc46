// lattice's own tokenizer against the crate `tokenizers`, and the finding that a difference is.
#include "quality/engine_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

TEST(EngineTokenizerTest, EqualSplitsAreNoFinding) {
  EXPECT_THAT(FindingsOfSplits({{"prompt \"a\"", "x", {1, 2}, {1, 2}}}), testing::IsEmpty());
  // The comparison uses the beginning of the text.
  EXPECT_THAT(FindingsOfSplits({{"the text", "x y z", {1, 2}, {1, 2, 3}}}), testing::IsEmpty());
}

TEST(EngineTokenizerTest, TheFirstTextThatDiffersIsShownWithBothSplits) {
  const auto findings = FindingsOfSplits({{"prompt \"a\"", "x", {1, 2}, {1, 2}},
                                          {"prompt \"b\"", "Hi there", {1, 2, 3}, {1, 23}},
                                          {"prompt \"c\"", "y", {4}, {4, 5}}});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].kind, "tokenizer");
  EXPECT_THAT(findings[0].text,
              AllOf(HasSubstr("2 of 3 texts"), HasSubstr("prompt \"b\", \"Hi there\""),
                    HasSubstr("from token 1 on [2,3] and [23]")));
}

class LatticeTokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Load(kModel);
    auto side = Side::Open({.engine = "lattice", .model = kModel});
    if (!tokenizer.ok() || !side.ok()) GTEST_SKIP() << "lattice or crosscheck-oracle is not built";
    inputs_.decoder = *std::move(tokenizer);
    side_ = *std::move(side);
  }

  void AddPrompt(const std::string& text, PromptTemplate kind = PromptTemplate::kNone) {
    Prompt prompt;
    prompt.id = std::to_string(inputs_.prompts.size());
    prompt.text = text;
    prompt.chat_template = kind;
    auto ids =
        inputs_.decoder->Encode(text, kind == PromptTemplate::kGiven ? kRenderedText : kPlainText);
    ASSERT_TRUE(ids.ok()) << ids.status();
    prompt.ids = *std::move(ids);
    inputs_.prompts.push_back(std::move(prompt));
  }

  Inputs inputs_;
  std::unique_ptr<Side> side_;
  ConfigurationResult result_;
};

TEST_F(LatticeTokenizerTest, MakesTheIdsOfPromptsAndOfTheText) {
  for (const char* text :
       {"The quick brown fox jumps over 13 lazy dogs.",
        "def f(x):\n    return {\"a\": [x, 1_000, 0x1F]}\n\n\n", "  two  spaces\tand\ttabs \r\n \n",
        "don't we'll I'VE they'd", "naïve café Ångström ﬁ ½", "你好，世界。 안녕하세요 Привет"}) {
    AddPrompt(text);
  }
  AddPrompt("<|im_start|>user\nHi<|im_end|>\n", PromptTemplate::kGiven);
  const std::string file = std::string(kModel) + "/heldout.txt";
  auto text = ReadFile(file);
  ASSERT_TRUE(text.ok());
  auto ids = inputs_.decoder->Encode(*text, kCorpusText);
  ASSERT_TRUE(ids.ok());
  inputs_.text = *std::move(ids);
  ASSERT_TRUE(CompareTokenizers(*side_, inputs_, file, result_).ok());
  for (const Finding& finding : result_.findings) ADD_FAILURE() << finding.text;
  EXPECT_THAT(result_.skips, testing::IsEmpty());
  // One wrong id is seen.
  ++inputs_.text[1000];
  ASSERT_TRUE(CompareTokenizers(*side_, inputs_, file, result_).ok());
  ASSERT_EQ(result_.findings.size(), 1U);
  EXPECT_THAT(result_.findings[0].text, HasSubstr("the text"));
}

TEST_F(LatticeTokenizerTest, ATextThatItDoesNotServeIsCountedAndTheOthersAreCompared) {
  AddPrompt("plain");
  AddPrompt("a <|im_end|> that is text");
  AddPrompt("also plain");
  inputs_.prompts[2].ids.push_back(5);
  ASSERT_TRUE(CompareTokenizers(*side_, inputs_, "", result_).ok());
  ASSERT_EQ(result_.skips.size(), 1U);
  EXPECT_THAT(result_.skips[0].track, HasSubstr("beside 2 texts"));
  ASSERT_EQ(result_.findings.size(), 1U);
  EXPECT_THAT(result_.findings[0].text, HasSubstr("1 of 2 texts"));
}

}  // namespace
}  // namespace crosscheck::quality
