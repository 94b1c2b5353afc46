#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "quality/sha256.h"
#include "quality/tasks/choice_request.h"
#include "quality/tasks/csv.h"
#include "quality/tasks/hellaswag.h"
#include "quality/tasks/task.h"
#include "quality/utf8.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
std::string ErrorOf(const absl::StatusOr<T>& result) {
  return result.ok() ? "" : std::string(result.status().message());
}

class TaskFiles : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = folder_.path() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  OwnFolder folder_;
};

TEST(Csv, FieldsAreThoseOfRfc4180) {
  const auto records = ParseCsv(
      "a,b,\r\n"
      "\"two\nlines\",\"say \"\"hi\"\"\",\"x,y\"\n"
      "\n"
      "\"\",é, spaced \n"
      "last,\"one\"",
      "t.csv");
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 4u);
  EXPECT_THAT((*records)[0].fields, ElementsAre("a", "b", ""));
  EXPECT_THAT((*records)[1].fields, ElementsAre("two\nlines", "say \"hi\"", "x,y"));
  EXPECT_THAT((*records)[2].fields, ElementsAre("", "é", " spaced "));
  EXPECT_THAT((*records)[3].fields, ElementsAre("last", "one"));
  EXPECT_EQ((*records)[1].line, 2);
  EXPECT_EQ((*records)[3].line, 6);
  EXPECT_TRUE(ParseCsv("", "t.csv")->empty());
  EXPECT_TRUE(ParseCsv("\n\r\n", "t.csv")->empty());
  EXPECT_THAT((*ParseCsv(",", "t.csv"))[0].fields, ElementsAre("", ""));
}

TEST(Csv, BrokenQuotingIsNamedByLine) {
  EXPECT_THAT(ErrorOf(ParseCsv("a\nb,c\"d\n", "t.csv")), HasSubstr("t.csv:2: a quote inside"));
  EXPECT_THAT(ErrorOf(ParseCsv("a\n\"b\"c,d\n", "t.csv")), HasSubstr("t.csv:2: text behind"));
  EXPECT_THAT(ErrorOf(ParseCsv("a\n\"b\n\nc", "t.csv")),
              HasSubstr("t.csv:2: a quote that is never"));
}

TEST(Utf8, OnlyWellFormedCodePointsPass) {
  for (const std::string_view good : {"", "a", "é", "\xED\x9F\xBF", "\xEF\xBF\xBF",
                                      "\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80", "日本"}) {
    EXPECT_TRUE(CheckUtf8(good, "t").ok()) << good;
  }
  for (const std::string_view bad :
       {"\x80", "\xC1\x81", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xE2\x82g"}) {
    const absl::Status status = CheckUtf8("ab" + std::string(bad), "t");
    EXPECT_EQ(status.message(), "t is not UTF-8 at byte 2");
  }
}

constexpr char kDev[] = "What is 1+1?,1,2,3,4,B\n\" Which\nline? \",w,x,y,z,D\n";
constexpr char kTest[] = "\" Capital of France? \",Rome,Paris,\"Lyon, maybe\",Bern,B\n";

TEST_F(TaskFiles, MmluPromptsAreThoseOfTheHarness) {
  Write("dev/world_facts_dev.csv", kDev);
  const std::string path = Write("test/world_facts_test.csv", kTest);
  const auto task = ReadMmlu(folder_.path(), {.shots = 2});
  ASSERT_TRUE(task.ok()) << task.status();
  ASSERT_EQ(task->questions.size(), 1u);
  const Question& question = task->questions[0];
  EXPECT_EQ(question.context,
            "The following are multiple choice questions (with answers) about world facts.\n\n"
            "What is 1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
            "Which\nline?\nA. w\nB. x\nC. y\nD. z\nAnswer: D\n\n"
            "Capital of France?\nA. Rome\nB. Paris\nC. Lyon, maybe\nD. Bern\nAnswer:");
  EXPECT_THAT(question.choices, ElementsAre("A", "B", "C", "D"));
  EXPECT_EQ(question.gold, 1);
  EXPECT_EQ(question.group, "world_facts");
  EXPECT_EQ(question.id, "world_facts_test.csv:1");
  ASSERT_EQ(task->files.size(), 2u);
  EXPECT_EQ(task->files[0].path, path);
  EXPECT_EQ(task->files[0].rows, 1);
  EXPECT_EQ(task->files[0].sha256, Sha256(kTest));
}

TEST_F(TaskFiles, MmluInTheStyleOfTheOriginalScript) {
  Write("test/world_facts_test.csv", kTest);
  const auto task = ReadMmlu(folder_.path(), {.shots = 0, .style = MmluStyle::kHendrycks});
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->questions[0].context,
            "The following are multiple choice questions (with answers) about  world facts.\n\n"
            " Capital of France? \nA. Rome\nB. Paris\nC. Lyon, maybe\nD. Bern\nAnswer:");
}

TEST_F(TaskFiles, MmluAsJsonLinesGivesTheSamePrompts) {
  Write("csv/dev/s_dev.csv", kDev);
  Write("csv/test/s_test.csv", kTest);
  Write(
      "lines/dev.jsonl",
      R"({"subject": "s", "question": "What is 1+1?", "choices": ["1","2","3","4"], "answer": 1})"
      "\n"
      R"({"subject": "s", "question": " Which\nline? ", "choices": ["w","x","y","z"], "answer": 3})");
  Write("lines/test.jsonl", R"({"subject": "s", "question": "Capital of France?", "answer": 1,)"
                            R"( "choices": ["Rome", "Paris", "Lyon, maybe", "Bern"]})");
  const auto csv = ReadMmlu(folder_.path() + "/csv", {.shots = 2});
  const auto lines = ReadMmlu(folder_.path() + "/lines", {.shots = 2});
  ASSERT_TRUE(csv.ok()) << csv.status();
  ASSERT_TRUE(lines.ok()) << lines.status();
  EXPECT_EQ(lines->questions[0].context, csv->questions[0].context);
  EXPECT_EQ(lines->questions[0].gold, 1);
}

TEST_F(TaskFiles, HostileMmluFilesAreNamed) {
  const auto error = [&](int shots = 0) {
    return ErrorOf(ReadMmlu(folder_.path(), {.shots = shots}));
  };
  EXPECT_THAT(error(), HasSubstr("expected the data folder of MMLU"));
  Write("test/s_test.csv", "q,a,b,c,d,E\n");
  EXPECT_THAT(error(), HasSubstr("s_test.csv:1: the answer is \"E\""));
  Write("test/s_test.csv", "q,a,b,c,d,A\n\nq,a,b,c,A\n");
  EXPECT_THAT(error(), HasSubstr("s_test.csv:3: 5 fields"));
  Write("test/s_test.csv", "");
  EXPECT_THAT(error(), HasSubstr("no row"));
  Write("test/s_test.csv", "q,a,b,c,\xff,A\n");
  EXPECT_THAT(error(), HasSubstr("is not UTF-8 at byte 8"));
  Write("test/s_test.csv", kTest);
  EXPECT_THAT(error(5), HasSubstr("dev/s_dev.csv"));
  Write("dev/s_dev.csv", kDev);
  EXPECT_THAT(error(5), HasSubstr("the dev set of s has 2 rows; 5 examples"));
  Write("test.jsonl", R"({"subject": "s", "question": "q", "choices": ["1"], "answer": 1})");
  EXPECT_THAT(error(), HasSubstr("test.jsonl:1: expected 4 \"choices\""));
  Write("test.jsonl", "\n[1]");
  EXPECT_THAT(error(), HasSubstr("test.jsonl:2: "));
  Write("test.jsonl", R"({"question": "q", "choices": ["1", "2", "3", "4"], "answer": 1})");
  EXPECT_THAT(error(), HasSubstr("\"subject\": expected a text"));
}

TEST(HellaSwag, TextsAreCleanedAsTheHarnessDoes) {
  EXPECT_EQ(CleanHellaSwag("  How to cook [title] Boil water [step] first.\n"),
            "How to cook. Boil water first.");
  EXPECT_EQ(CleanHellaSwag("a [b\nc] d [] e [f"), "a [b\nc] d e [f");
  EXPECT_EQ(CleanHellaSwag("a    b"), "a  b");  // one pass
  EXPECT_EQ(CleanHellaSwag("[whole]"), "");
  EXPECT_EQ(Capitalise("the DOG Runs"), "The dog runs");
  EXPECT_EQ(Capitalise("éTÉ À"), "Été à");
  EXPECT_EQ(Capitalise(""), "");
}

TEST_F(TaskFiles, HellaSwagQuestionsTakeLabelsOfBothTypes) {
  const std::string path = Write(
      "val.jsonl",
      R"({"ind": 1, "activity_label": "Removing ice", "ctx_a": "A man sits.", "ctx_b": "he STARTS",)"
      R"( "ctx": "unused", "endings": ["pulls.", "is [x] up.", " c", "d"], "label": "2"})"
      "\n"
      R"({"activity_label": "Baking", "ctx_a": "[header] How to bake [title] Mix.", "ctx_b": "",)"
      R"( "endings": ["a", "b", "c", "d"], "label": 0})");
  const auto task = ReadHellaSwag(path);
  ASSERT_TRUE(task.ok()) << task.status();
  ASSERT_EQ(task->questions.size(), 2u);
  EXPECT_EQ(task->questions[0].context, "Removing ice: A man sits. He starts");
  EXPECT_THAT(task->questions[0].choices, ElementsAre("pulls.", "is up.", "c", "d"));
  EXPECT_EQ(task->questions[0].gold, 2);
  EXPECT_EQ(task->questions[0].id, "val.jsonl:1");
  EXPECT_EQ(task->questions[1].context, "Baking: How to bake. Mix.");
  EXPECT_EQ(task->questions[1].gold, 0);
}

TEST_F(TaskFiles, HostileHellaSwagFilesAreNamed) {
  const auto error = [&](const std::string& label, const std::string& endings) {
    return ErrorOf(ReadHellaSwag(
        Write("val.jsonl", R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c", "endings": )" +
                               endings + ", \"label\": " + label + "}")));
  };
  const std::string four = R"(["a", "b", "c", "d"])";
  EXPECT_EQ(error("3", four), "");
  for (const char* label :
       {"4", "-1", "\"\"", "\"4\"", "\"-1\"", "1.0", "null", "\"x\"", "99999999999"}) {
    EXPECT_THAT(error(label, four), HasSubstr("val.jsonl:1: \"label\"")) << label;
  }
  EXPECT_THAT(error("0", R"(["a"])"), HasSubstr("4 \"endings\""));
  EXPECT_THAT(error("0", R"(["a", "b", "c", 4])"), HasSubstr("\"endings\": expected"));
  EXPECT_THAT(ErrorOf(ReadHellaSwag(folder_.path() + "/none.jsonl")), HasSubstr("none.jsonl"));
}

constexpr char kArc[] =
    R"({"id": "x", "question": {"stem": "Why?", "choices": [{"text": "r", "label": "1"}, )"
    R"({"text": "s", "label": "2"}, {"text": "t", "label": "3"}]}, "answerKey": "3"})"
    "\n"
    R"({"id": "y", "question": "How?", "choices": {"text": ["k", "l", "m"], )"
    R"("label": ["A", "B", "C"]}, "answerKey": "B"})";

TEST_F(TaskFiles, ArcIsReadInBothForms) {
  const std::string path = Write("ARC-Easy-Test.jsonl", kArc);
  const auto task = ReadArc(path, 0, "");
  ASSERT_TRUE(task.ok()) << task.status();
  ASSERT_EQ(task->questions.size(), 2u);
  EXPECT_EQ(task->questions[0].context, "Question: Why?\nAnswer:");
  EXPECT_THAT(task->questions[0].choices, ElementsAre("r", "s", "t"));
  EXPECT_EQ(task->questions[0].gold, 2);
  EXPECT_EQ(task->questions[1].context, "Question: How?\nAnswer:");
  EXPECT_EQ(task->questions[1].gold, 1);

  const auto shots = ReadArc(path, 2, path);
  ASSERT_TRUE(shots.ok()) << shots.status();
  EXPECT_EQ(shots->questions[1].context,
            "Question: Why?\nAnswer: t\n\nQuestion: How?\nAnswer: l\n\nQuestion: How?\nAnswer:");
  EXPECT_THAT(ErrorOf(ReadArc(path, 25, path)), HasSubstr("has 2 rows; 25 examples"));
}

TEST_F(TaskFiles, HostileArcFilesAreNamed) {
  const auto error = [&](const std::string& line) {
    return ErrorOf(ReadArc(Write("t.jsonl", line), 0, ""));
  };
  EXPECT_THAT(error(R"({"question": "q", "answerKey": "A"})"), HasSubstr("no \"choices\""));
  EXPECT_THAT(error(R"({"question": {"stem": 1}, "answerKey": "A"})"), HasSubstr("\"stem\""));
  EXPECT_THAT(error(R"({"question": "q", "choices": [1, 2, 3], "answerKey": "A"})"),
              HasSubstr("t.jsonl:1: a choice is not an object"));
  EXPECT_THAT(error(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]},)"
                    R"( "answerKey": "A"})"),
              HasSubstr("2 texts and 2 labels"));
  EXPECT_THAT(
      error(R"({"question": "q", "choices": {"text": ["a", "b", "c"], "label": ["A", "B"]},)"
            R"( "answerKey": "A"})"),
      HasSubstr("3 texts and 2 labels"));
  EXPECT_THAT(error(R"({"question": "q", "choices": {"text": ["a", "b", "c"], )"
                    R"("label": ["A", "B", "C"]}, "answerKey": "D"})"),
              HasSubstr("\"answerKey\" is \"D\""));
  EXPECT_THAT(error(""), HasSubstr("no row"));
}

TEST(ChoiceRequest, IsSplitByTheLengthOfTheContext) {
  const auto plain = SplitRequest({1, 2}, {1, 2, 3, 4, 5}, -1, 100);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_THAT(plain->ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(plain->scored, 3);
  EXPECT_TRUE(plain->prefix);
  EXPECT_FALSE(plain->truncated);
  // A merge across the boundary: split by length all the same, and said.
  const auto merged = SplitRequest({1, 2}, {1, 9, 5}, -1, 100);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->scored, 1);
  EXPECT_FALSE(merged->prefix);
}

TEST(ChoiceRequest, AnEmptyContextIsTheFirstToken) {
  const auto request = SplitRequest({}, {3, 4}, 7, 100);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->ids, ElementsAre(7, 3, 4));
  EXPECT_EQ(request->scored, 2);
  EXPECT_THAT(ErrorOf(SplitRequest({}, {3, 4}, -1, 100)), HasSubstr("eos_token"));
}

TEST(ChoiceRequest, TheFrontOfALongContextIsDropped) {
  const auto fits = SplitRequest({1, 2}, {1, 2, 3, 4}, -1, 3);
  ASSERT_TRUE(fits.ok());
  EXPECT_FALSE(fits->truncated);  // 4 ids of which 3 are read
  const auto cut = SplitRequest({1, 2}, {1, 2, 3, 4}, -1, 2);
  ASSERT_TRUE(cut.ok());
  EXPECT_THAT(cut->ids, ElementsAre(2, 3, 4));
  EXPECT_EQ(cut->scored, 2);
  EXPECT_TRUE(cut->truncated);
  EXPECT_FALSE(SplitRequest({1, 2}, {1, 2, 3, 4}, -1, 1).ok());
  EXPECT_FALSE(SplitRequest({1, 2}, {1, 2}, -1, 9).ok());
  EXPECT_FALSE(SplitRequest({1, 2}, {1}, -1, 9).ok());
}

TEST(ChoiceRequest, QuestionsAreTokenised) {
  auto tokenizer = Tokenizer::Load("seeds/checkpoints/tiny-qwen35");
  if (tokenizer.status().code() == absl::StatusCode::kFailedPrecondition) {
    GTEST_SKIP() << tokenizer.status().message();
  }
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Question question{
      .id = "q:1", .group = "", .context = "Answer:  ", .choices = {"A", "two words"}};
  const Question empty{.id = "q:2", .group = "", .context = "", .choices = {"A"}};
  const auto requests = TokeniseQuestions(**tokenizer, {question, empty}, 100);
  ASSERT_TRUE(requests.ok()) << requests.status();
  ASSERT_EQ(requests->size(), 3u);
  for (const ChoiceRequest& request : *requests) {
    const std::vector<int32_t> scored(request.ids.end() - request.scored, request.ids.end());
    const std::vector<int32_t> read(request.ids.begin(), request.ids.end() - request.scored);
    const bool first = request.question == 0;
    EXPECT_EQ(*(*tokenizer)->Decode(read), first ? "Answer:" : "<|im_end|>");
    const std::string choice = request.choice == 0 ? "A" : "two words";
    EXPECT_EQ(*(*tokenizer)->Decode(scored), (first ? "   " : " ") + choice);
  }
  EXPECT_THAT(ErrorOf(TokeniseQuestions(**tokenizer, {question}, 1)), HasSubstr("q:1, choice 1"));
  const auto bad = (*tokenizer)->Encode("a\xff", kPlainText);
  EXPECT_THAT(ErrorOf(bad), HasSubstr("not UTF-8 at byte 1"));
}

}  // namespace
}  // namespace crosscheck::quality
