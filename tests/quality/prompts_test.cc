#include "quality/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>

namespace crosscheck::quality {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ErrorOf(std::string_view lines) {
  const auto prompts = ParsePrompts(lines, "p.jsonl");
  return prompts.ok() ? "" : std::string(prompts.status().message());
}

TEST(Prompts, EveryFieldIsRead) {
  const auto prompts = ParsePrompts(
      R"({"id": "a", "kind": "code", "text": "def é(", "ids": [1, 2], "max_tokens": 7, )"
      R"("template": "given", "stop": ["\n\n", "END"], "reference": "x"})"
      "\r\n\n"
      R"({"id": "b", "ids": [2147483647]})",
      "p.jsonl");
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  ASSERT_EQ(prompts->size(), 2u);
  const Prompt& a = prompts->front();
  EXPECT_EQ(a.id, "a");
  EXPECT_EQ(a.kind, "code");
  EXPECT_EQ(a.text, "def é(");
  EXPECT_THAT(a.ids, ElementsAre(1, 2));
  EXPECT_EQ(a.max_tokens, 7);
  EXPECT_EQ(a.chat_template, PromptTemplate::kGiven);
  EXPECT_THAT(a.stop, ElementsAre("\n\n", "END"));
  EXPECT_EQ(a.reference, "x");
  const Prompt& b = prompts->back();
  EXPECT_EQ(b.kind, "other");
  EXPECT_EQ(b.text, "");
  EXPECT_THAT(b.ids, ElementsAre(2147483647));
  EXPECT_EQ(b.max_tokens, 0);
  EXPECT_EQ(b.chat_template, PromptTemplate::kNone);
  EXPECT_EQ(b.reference, std::nullopt);
}

TEST(Prompts, ALineReadsBackAsItself) {
  const std::string line =
      R"({"id":"a","kind":"k","text":"é\n","ids":[3],"max_tokens":9,"template":"given",)"
      R"("stop":["."],"reference":""})";
  const auto prompts = ParsePrompts(line, "p.jsonl");
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_EQ(PromptLine(prompts->front()), line);
}

struct WrongLine {
  std::string_view line;
  std::string_view message;
};

TEST(Prompts, AWrongLineIsNamed) {
  const WrongLine cases[] = {
      {"{", "p.jsonl:3: "},
      {"[]", "one JSON object a line"},
      {"\"text\"", "one JSON object a line"},
      {R"({"id": "b", "text": "x", "prompt": "y"})",
       "p.jsonl:3: unknown key \"prompt\"; known: id"},
      {R"({"id": "b", "id": "c", "text": "x"})", "occurs twice"},
      {R"({"id": "a", "text": "x"})", "the id \"a\" occurs twice"},
      {R"({"text": "x"})", "no \"id\""},
      {R"({"id": "", "text": "x"})", "\"id\": expected"},
      {R"({"id": "b\n", "text": "x"})", "\"id\": expected"},
      {R"({"id": 5, "text": "x"})", "\"id\": expected"},
      {R"({"id": "b"})", "neither \"text\" nor \"ids\""},
      {R"({"id": "b", "text": ""})", "\"text\": expected"},
      {R"({"id": "b", "text": ["x"]})", "\"text\": expected"},
      {R"({"id": "b", "ids": []})", "\"ids\": expected"},
      {R"({"id": "b", "ids": [-1]})", "\"ids\": expected"},
      {R"({"id": "b", "ids": [1.0]})", "\"ids\": expected"},
      {R"({"id": "b", "ids": [2147483648]})", "\"ids\": expected"},
      {R"({"id": "b", "text": "x", "max_tokens": 0})", "\"max_tokens\": expected"},
      {R"({"id": "b", "text": "x", "max_tokens": 1e99})", "\"max_tokens\": expected"},
      {R"({"id": "b", "text": "x", "template": "chatml"})", "\"template\": expected"},
      {R"({"id": "b", "text": "x", "template": null})", "\"template\": expected"},
      {R"({"id": "b", "text": "x", "stop": "."})", "\"stop\": expected"},
      {R"({"id": "b", "text": "x", "stop": [""]})", "\"stop\": expected"},
      {R"({"id": "b", "text": "x", "reference": 3})", "\"reference\": expected"},
      {R"({"id": "b", "messages": []})", "apply_chat_template"},
      {"{\"id\": \"b\", \"text\": \"\xff\"}", "p.jsonl:3: "},
      {R"({"id": "b", "text": "\ud800"})", "p.jsonl:3: "},
  };
  for (const WrongLine& wrong : cases) {
    const std::string lines =
        R"({"id": "a", "text": "good"})" + std::string("\n\n") + std::string(wrong.line);
    EXPECT_THAT(ErrorOf(lines), HasSubstr("p.jsonl:3: ")) << wrong.line;
    EXPECT_THAT(ErrorOf(lines), HasSubstr(std::string(wrong.message))) << wrong.line;
  }
}

TEST(Prompts, AFileWithoutPromptsIsAnError) {
  for (const std::string_view lines : {"", "\n", " \r\n\t\n"}) {
    EXPECT_THAT(ErrorOf(lines), HasSubstr("p.jsonl: no prompt"));
  }
  const auto missing = ReadPrompts("/no/such/prompts.jsonl");
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/no/such/prompts.jsonl"));
}

TEST(Prompts, TheShippedSetHasAHundredOfManyKinds) {
  const auto prompts = DefaultPrompts();
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_EQ(prompts->size(), 100u);
  std::map<std::string, int> kinds;
  for (const Prompt& prompt : *prompts) ++kinds[prompt.kind];
  EXPECT_GE(kinds.size(), 8u);
  for (const auto& [kind, count] : kinds) EXPECT_GE(count, 8) << kind;
}

TEST(TextPrompts, ArePiecesOfTheTextFromDifferentPlaces) {
  std::vector<int32_t> ids(400);
  std::iota(ids.begin(), ids.end(), 0);
  const auto prompts = TextPrompts(ids, 300, 1);
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  std::map<int32_t, int> places;
  for (const Prompt& prompt : *prompts) {
    EXPECT_GE(prompt.ids.size(), 16u);
    EXPECT_LE(prompt.ids.size(), 128u);
    EXPECT_EQ(prompt.ids.back() - prompt.ids.front() + 1, static_cast<int>(prompt.ids.size()));
    ++places[prompt.ids.front()];
  }
  EXPECT_EQ(places.size(), 300u);
}

TEST(TextPrompts, DependOnTheSeedAndNotOnTheirCount) {
  std::vector<int32_t> ids(5000);
  std::iota(ids.begin(), ids.end(), 0);
  const auto few = TextPrompts(ids, 5, 1);
  const auto many = TextPrompts(ids, 50, 1);
  const auto other = TextPrompts(ids, 5, 2);
  ASSERT_TRUE(few.ok() && many.ok() && other.ok());
  for (size_t i = 0; i < few->size(); ++i) EXPECT_EQ((*few)[i].ids, (*many)[i].ids);
  EXPECT_NE(few->front().ids, other->front().ids);
}

TEST(TextPrompts, AShortTextIsAnError) {
  EXPECT_TRUE(TextPrompts(std::vector<int32_t>(16, 7), 1, 0).ok());
  const auto short_text = TextPrompts(std::vector<int32_t>(15, 7), 1, 0);
  EXPECT_THAT(std::string(short_text.status().message()), HasSubstr("15 tokens"));
  EXPECT_FALSE(TextPrompts(std::vector<int32_t>(20, 7), 6, 0).ok());
}

}  // namespace
}  // namespace crosscheck::quality
