#include "quality/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "quality/prompt_ids.h"
#include "quality/sha256.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kCheckpoint = "seeds/checkpoints/tiny-qwen35/";

std::string Bytes(const std::string& path) {
  const auto bytes = ReadFile(path);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : "";
}

// A folder with one tokenizer.json of our own.
class TokenizerFolder {
 public:
  explicit TokenizerFolder(const std::string& json) {
    std::filesystem::create_directories(folder_.path());
    std::ofstream(folder_.path() + "/tokenizer.json") << json;
  }
  const std::string& path() const { return folder_.path(); }

 private:
  OwnFolder folder_;
};

// Whole words, with a first token that the post-processor adds.
constexpr char kWords[] = R"({"version": "1.0",
  "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
  "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
              "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"},
  "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true},
                   {"id": 7, "content": "<tool>", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": false}],
  "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
  "decoder": null,
  "model": {"type": "WordLevel", "unk_token": "?",
            "vocab": {"<s>": 0, "?": 1, "a": 2, "b": 3, "s": 4, "<": 5, ">": 6}}})";

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Load(kCheckpoint);
    if (tokenizer.status().code() == absl::StatusCode::kFailedPrecondition) {
      GTEST_SKIP() << tokenizer.status().message();
    }
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizerTest, TheRecordedStreamOfTheHeldOutTextIsReproduced) {
  const std::string text = Bytes(kCheckpoint + "heldout.txt");
  const auto expected = ParseJson(Bytes(kCheckpoint + "expected.json"));
  ASSERT_TRUE(expected.ok());
  const auto ids = tokenizer_->Encode(text, kCorpusText);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->size(), 20341u);
  EXPECT_EQ(Sha256(CommaJoined(*ids)),
            (*expected)["heldout"]["sha256_of_comma_separated_ids"].get<std::string>());
  const auto decoded = tokenizer_->Decode(*ids);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, text);
}

TEST_F(TokenizerTest, TheIdsOfAllRecordedPromptsAgreeWithTheirTexts) {
  auto prompts = ReadPrompts(kCheckpoint + "prompts.jsonl");
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  ASSERT_EQ(prompts->size(), 60u);
  std::vector<Prompt> texts = *prompts;
  for (Prompt& prompt : texts) prompt.ids.clear();
  ASSERT_TRUE(EncodePrompts(tokenizer_.get(), &texts).ok());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i].ids, (*prompts)[i].ids);
  EXPECT_TRUE(EncodePrompts(tokenizer_.get(), &*prompts).ok());

  (*prompts)[7].ids[2] += 1;
  const absl::Status status = EncodePrompts(tokenizer_.get(), &*prompts);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"" + (*prompts)[7].id + "\""));
  EXPECT_THAT(std::string(status.message()), HasSubstr("from token 2 on"));
}

TEST_F(TokenizerTest, SpecialStringsAreTextUnlessTheyAreParsed) {
  const auto parsed = tokenizer_->Encode("<|im_end|>", kRenderedText);
  const auto plain = tokenizer_->Encode("<|im_end|>", kPlainText);
  ASSERT_TRUE(parsed.ok() && plain.ok());
  EXPECT_THAT(*parsed, ElementsAre(1023));
  EXPECT_GT(plain->size(), 3u);
  EXPECT_EQ(*tokenizer_->Decode(*plain), "<|im_end|>");
  // The mode of one request is not that of the next.
  EXPECT_EQ(*tokenizer_->Encode("<|im_end|>", kRenderedText), *parsed);
}

TEST_F(TokenizerTest, ItIsIdentified) {
  EXPECT_EQ(tokenizer_->size(), 1024);
  EXPECT_EQ(tokenizer_->sha256(), *Sha256OfFile(kCheckpoint + "tokenizer.json"));
  EXPECT_EQ(tokenizer_->eos(), 1023);
  EXPECT_EQ(tokenizer_->bos(), std::nullopt);
  EXPECT_EQ(tokenizer_->special().at("<|endoftext|>"), 1021);
  const auto own = tokenizer_->Fingerprint();
  ASSERT_TRUE(own.ok()) << own.status();
  const TokenizerFolder same(Bytes(kCheckpoint + "tokenizer.json") + "\n");
  auto other = Tokenizer::Load(same.path());
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE((*other)->sha256(), tokenizer_->sha256());
  EXPECT_EQ(*(*other)->Fingerprint(), *own);
  EXPECT_EQ((*other)->eos(), std::nullopt);
}

TEST_F(TokenizerTest, AnotherTokenizerHasAnotherFingerprint) {
  const TokenizerFolder folder(kWords);
  auto words = Tokenizer::Load(folder.path());
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_EQ((*words)->size(), 8);
  EXPECT_NE(*(*words)->Fingerprint(), *tokenizer_->Fingerprint());
}

TEST_F(TokenizerTest, ThePostProcessorsTokensAreAddedOnRequestOnly) {
  const TokenizerFolder folder(kWords);
  auto words = Tokenizer::Load(folder.path());
  ASSERT_TRUE(words.ok()) << words.status();
  // The file's truncation to 2 and padding to 8 are off.
  EXPECT_THAT(*(*words)->Encode("a b a b", kPlainText), ElementsAre(0, 2, 3, 2, 3));
  EXPECT_THAT(*(*words)->Encode("a b a b", kRenderedText), ElementsAre(2, 3, 2, 3));
  EXPECT_THAT(*(*words)->Encode("a <s> b", kPlainText), ElementsAre(0, 2, 5, 4, 6, 3));
  EXPECT_THAT(*(*words)->Encode("a <s> b", kRenderedText), ElementsAre(2, 0, 3));
  // Added tokens that are not special are always parsed, as in Transformers.
  EXPECT_THAT(*(*words)->Encode("a <tool> b", kPlainText), ElementsAre(0, 2, 7, 3));
}

TEST_F(TokenizerTest, ManyTextsKeepTheirOrder) {
  std::string half;  // and a bit of what one message takes
  while (half.size() < (1 << 18)) half.append("word after word, ");
  const std::vector<std::string> texts = {"", half, "b", half, "c"};
  const auto all = tokenizer_->EncodeAll(texts, kPlainText);
  ASSERT_TRUE(all.ok()) << all.status();
  const auto decoded = tokenizer_->DecodeAll(*all);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == texts);
  EXPECT_TRUE(tokenizer_->EncodeAll({}, kPlainText)->empty());
  const auto long_text = tokenizer_->Encode(std::string((4 << 20) + 1, 'x'), kPlainText);
  EXPECT_EQ(long_text.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TokenizerTest, ABrokenFileIsRefusedWithItsName) {
  for (const char* json : {"", "{", "[]", R"({"version": "1.0"})"}) {
    const TokenizerFolder folder(json);
    const auto tokenizer = Tokenizer::Load(folder.path());
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("tokenizer.json")) << json;
  }
}

TEST(Tokenizer, AFolderWithoutOneSaysWhatToDo) {
  const auto tokenizer = Tokenizer::Load("seeds/checkpoints/tiny-qwen35-lora");
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("as \"ids\""));
}

Prompt OfIds(std::string id, std::vector<int32_t> ids, int max_tokens) {
  Prompt prompt;
  prompt.id = std::move(id);
  prompt.ids = std::move(ids);
  prompt.max_tokens = max_tokens;
  return prompt;
}

TEST(PromptIds, WithoutATokenizerEveryPromptNeedsIds) {
  std::vector<Prompt> prompts = {OfIds("a", {1}, 1)};
  EXPECT_TRUE(EncodePrompts(nullptr, &prompts).ok());
  prompts.push_back(OfIds("b", {}, 1));
  prompts.back().text = "x";
  const absl::Status status = EncodePrompts(nullptr, &prompts);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"b\" has no ids"));
}

TEST(PromptIds, PromptsThatDoNotFitAreNamed) {
  std::vector<Prompt> prompts = {OfIds("fits", {1, 2, 3}, 5), OfIds("long", {1, 2, 3, 4}, 5)};
  const absl::Status status = FitPrompts(8, 10, false, &prompts);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 of 2 prompts"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"long\" has 4 tokens"));
  EXPECT_TRUE(FitPrompts(8, 10, true, &prompts).ok());
  EXPECT_THAT(prompts[0].ids, ElementsAre(1, 2, 3));
  EXPECT_THAT(prompts[1].ids, ElementsAre(2, 3, 4));
  EXPECT_FALSE(FitPrompts(5, 10, true, &prompts).ok());  // no room for any id
  const absl::Status outside = FitPrompts(8, 4, true, &prompts);
  EXPECT_THAT(std::string(outside.message()), HasSubstr("\"long\" has token 4"));
}

}  // namespace
}  // namespace crosscheck::quality
