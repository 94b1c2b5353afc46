#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/subjects/model_run.h"
#include "properties/visitors/text.h"
#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

ToyCase Parsed(std::string_view text) {
  const absl::StatusOr<ToyCase> c = ParseFields<ToyCase>(text);
  EXPECT_TRUE(c.ok()) << c.status();
  return c.value_or(ToyCase{});
}

std::string ErrorOf(std::string_view text) {
  return std::string(ParseFields<ToyCase>(text).status().message());
}

TEST(TextVisitorTest, PrintsNestedListsOperationsAndTables) {
  const ToyCase c{.height = 1,
                  .width = 2,
                  .tensor = {4, 5},
                  .rows = {{1, -2}, {}},
                  .swarm = 1,
                  .program = {{ToyOperationKind::kPop, 1, 7}},
                  .temperature = 0.7,
                  .seed = 12};
  EXPECT_EQ(PrintFields(c),
            "subject = toy\n"
            "tensor.height = 1\n"
            "tensor.width = 2\n"
            "tensor.values = 4 5\n"
            "rows.0 = 1 -2\n"
            "rows.1 =\n"
            "swarm = 1\n"
            "program.0.kind = pop\n"
            "program.0.row = 1\n"
            "program.0.count = 7\n"
            "temperature = 0.7\n"
            "seed = 12\n");
}

TEST(TextVisitorTest, ReadsKeysInAnyOrderWithCommentsAndBlanks) {
  const ToyCase c = Parsed(
      "# a comment\n"
      "\n"
      "  program.0.kind = fork   # needs the swarm bit below\n"
      "swarm=2\n"
      "rows.1=3\t2\r\n"
      "rows.0 = 1");
  EXPECT_EQ(c.program[0].kind, ToyOperationKind::kFork);
  EXPECT_EQ(c.rows, (std::vector<std::vector<int32_t>>{{1}, {3, 2}}));
  EXPECT_EQ(c.temperature, 1);
}

TEST(TextVisitorTest, MissingKeysTakeTheSimplestValue) {
  const ToyCase c = Parsed("rows.0 =\nrows.1 =\n");
  EXPECT_EQ(c.rows.size(), 2u);
  EXPECT_EQ(c.tensor, std::vector<int32_t>{0});
  EXPECT_TRUE(c.program.empty());
}

TEST(TextVisitorTest, NamesTheLineAndColumnOfAnUnknownKey) {
  EXPECT_THAT(ErrorOf("seed = 1\n  sed = 2\n"),
              StartsWith("2:3: unknown key `sed`, expected one of: "));
  EXPECT_THAT(ErrorOf("sed = 2\n"), HasSubstr("temperature"));
  EXPECT_THAT(ErrorOf("rows.0 =\nrows.2 = 1\n"), StartsWith("2:1: unknown key `rows.2`"));
}

TEST(TextVisitorTest, NamesTheFirstLineOfARepeatedKey) {
  EXPECT_EQ(ErrorOf("seed = 1\nswarm = 0\nseed = 1\n"),
            "3:1: `seed` is given twice, first on line 1");
}

TEST(TextVisitorTest, SaysWhatAMalformedValueShouldBe) {
  EXPECT_EQ(ErrorOf("swarm = 2x\n"), "1:9: swarm: expected an integer from 0 to 3, got `2x`");
  EXPECT_EQ(ErrorOf("swarm =\n"), "1:8: swarm: expected an integer from 0 to 3, got ``");
  EXPECT_EQ(ErrorOf("temperature = 0.5\n"),
            "1:15: temperature: expected one of 1, 0, 1e-06, 0.7, 2, 1e+30, got `0.5`");
  EXPECT_EQ(ErrorOf("seed = -1\n"),
            "1:8: seed: expected an integer from 0 to 18446744073709551615, got `-1`");
  EXPECT_EQ(ErrorOf("just words\n"), "1:1: expected `name = value`");
}

TEST(TextVisitorTest, RefusesValuesOutOfADependentRange) {
  EXPECT_EQ(ErrorOf("tensor.height = 3\ntensor.width = 7\n"),
            "2:16: tensor.width: expected an integer from 3 to 9 in steps of 3, got `7`");
  EXPECT_EQ(ErrorOf("program.0.kind = pop\n"),
            "1:18: program.0.kind: expected one of push, got `pop`");
  EXPECT_EQ(ErrorOf("program.0.row = 1\n"), "1:17: program.0.row: expected the integer 0, got `1`");
}

TEST(TextVisitorTest, RefusesListsOfTheWrongLength) {
  EXPECT_EQ(ErrorOf("rows.0 = 1 2 3 1 2 3\n"), "1:20: rows.0: expected at most 5 values");
  EXPECT_EQ(ErrorOf("tensor.width = 2\ntensor.values = 1\n"),
            "2:17: tensor.values: expected at least 2 values");
  EXPECT_EQ(ErrorOf("rows.0=\nrows.1=\nrows.2=\nrows.3=\nrows.4=\n"),
            "5:1: rows: expected at most 4 elements");
  EXPECT_THAT(ErrorOf("rows = 3\n"), StartsWith("1:8: rows: expected lines"));
}

TEST(TextVisitorTest, ReportsTheFirstOfSeveralErrors) {
  EXPECT_THAT(ErrorOf("seed = 1\nunknown = 2\nswarm = 99\n"), StartsWith("2:1: "));
  EXPECT_THAT(ErrorOf("seed = 1\nswarm = 99\nunknown = 2\n"), StartsWith("2:9: "));
}

TEST(TextVisitorTest, RefusesTheTextOfAnotherSubject) {
  EXPECT_EQ(ErrorOf("subject = model_run\n"), "1:11: subject: expected toy");
}

TEST(TextVisitorTest, ChunksMustFitThePrompt) {
  const absl::StatusOr<Case> c = ModelRunSubject().parse(
      "model.vocab = 9\nmodel.max_positions = 8\npath = session\nsequences.0.ids = 1 2 "
      "3\nsequences.0.chunks = 2 2\n");
  EXPECT_EQ(c.status().message(), "5:24: sequences.0.chunks: expected the integer 1, got `2`");
}

TEST(NamedValuesVisitorTest, ListsGiveTheirLengthAndTheirElements) {
  const auto fields =
      ToySubject().fields(*ToySubject().parse("rows.0 = 3 2\nrows.1 =\nprogram.0.count = 9\n"));
  const std::map<std::string, std::string> values(fields.begin(), fields.end());
  EXPECT_EQ(values.at("rows"), "2");
  EXPECT_EQ(values.at("rows.0"), "2");
  EXPECT_EQ(values.at("rows.0.1"), "2");
  EXPECT_EQ(values.at("rows.1"), "0");
  EXPECT_EQ(values.at("program.0.count"), "9");
  EXPECT_EQ(values.at("tensor.values.0"), "0");
}

}  // namespace
}  // namespace crosscheck
