#include "fuzz/corpus_store.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reference/safetensors.h"
#include "tests/fuzz/planted_bugs.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CorpusStoreTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { AddSubject(MakeSubject<PlantedCase>()); }

  static CorpusEntry Entry(std::vector<int32_t> items) {
    return {.value = MakePlanted(std::move(items), 12),
            .signature = {"planted", "fake", "race", ErrorClass::kState},
            .engine = "fake@0.4.0",
            .verdict = VerdictKind::kEngineBug,
            .marginal = true,
            .seed = 7,
            .cases_until_found = 1234,
            .seconds_until_found = 0.75,
            .bug = "decay per key head",
            .versions = "bad 0.2.1-0.4.0, good 0.4.1",
            .build = "1a2b3c",
            .notes = {"first line\nsecond line"}};
  }
  static std::string ErrorOf(std::string_view text) {
    return std::string(ParseEntry(text, "x.case").status().message());
  }

  const OwnFolder own_;
  const std::string root_ = own_.path();
};

TEST_F(CorpusStoreTest, ParseUndoesPrint) {
  const CorpusEntry entry = Entry({3, 1, 4});
  const absl::StatusOr<CorpusEntry> same = ParseEntry(PrintEntry(entry), "x.case");
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_TRUE(entry.value.subject().equal(same->value, entry.value));
  EXPECT_EQ(same->signature, entry.signature);
  EXPECT_EQ(same->engine, entry.engine);
  EXPECT_EQ(same->verdict, entry.verdict);
  EXPECT_EQ(same->marginal, entry.marginal);
  EXPECT_EQ(same->seed, entry.seed);
  EXPECT_EQ(same->cases_until_found, entry.cases_until_found);
  EXPECT_EQ(same->seconds_until_found, entry.seconds_until_found);
  EXPECT_EQ(same->bug, entry.bug);
  EXPECT_EQ(same->versions, entry.versions);
  EXPECT_EQ(same->build, entry.build);
  EXPECT_EQ(same->notes, (std::vector<std::string>{"first line", "second line"}));
  EXPECT_EQ(PrintEntry(*same), PrintEntry(entry));
}

TEST_F(CorpusStoreTest, EntryWithoutOriginIsStillReadable) {
  const CorpusEntry bare{.value = MakePlanted({}, 0),
                         .signature = {"planted", "fake", "race", ErrorClass::kState},
                         .engine = "fake",
                         .build = "",
                         .notes = {}};
  const absl::StatusOr<CorpusEntry> same = ParseEntry(PrintEntry(bare), "x.case");
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(PrintEntry(*same), PrintEntry(bare));
}

TEST_F(CorpusStoreTest, ErrorsInTheHeaderNameLineAndColumn) {
  const std::string good = PrintEntry(Entry({1}));
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return ErrorOf(text);
  };
  EXPECT_THAT(with("case 1", "case 2"), HasSubstr("x.case:1:1: expected '# crosscheck case 1'"));
  EXPECT_THAT(with("signature = planted", "signature = "), HasSubstr("x.case:2:13: "));
  EXPECT_THAT(with("engine = fake@0.4.0", "engine fake"),
              HasSubstr("x.case:3:1: expected 'key = value'"));
  EXPECT_THAT(with("engine =", "signature ="), HasSubstr("x.case:3:1: 'signature' is given twice"));
  EXPECT_THAT(with("ENGINE_BUG", "BUG"), HasSubstr("x.case:4:11: there is no verdict 'BUG'"));
  EXPECT_THAT(with("seed 7", "seed x"), HasSubstr("x.case:5:9: expected 'seed"));
  EXPECT_THAT(with("marginal", "margin"), HasSubstr("x.case:6:1: unknown key 'margin'"));
  EXPECT_THAT(with("= yes", "= maybe"), HasSubstr("x.case:6:12: expected yes or no"));
  EXPECT_THAT(with("engine = fake@0.4.0\n", ""), HasSubstr("the header lacks 'engine = "));
  EXPECT_THAT(ErrorOf(good.substr(0, good.find("---"))), HasSubstr("the line '---'"));
}

TEST_F(CorpusStoreTest, ErrorsInTheCaseNameLinesOfTheFile) {
  std::string text = PrintEntry(Entry({1}));
  const auto body_line =
      std::count(text.begin(), text.begin() + static_cast<long>(text.find("---")), '\n') + 2;
  const auto at = [&](long line) { return "x.case:" + std::to_string(line) + ":"; };
  std::string unknown_subject = text;
  unknown_subject.replace(unknown_subject.find("= planted\n"), 10, "= nothing\n");
  EXPECT_THAT(ErrorOf(unknown_subject),
              HasSubstr(at(body_line) + "11: there is no subject 'nothing'"));
  const std::string no_subject = text.substr(0, text.find("subject")) + "width = 3\n";
  EXPECT_THAT(ErrorOf(no_subject),
              HasSubstr(at(body_line) + "1: the line 'subject = <name>' is missing"));
  EXPECT_THAT(ErrorOf(text + "depth = 3\n"), HasSubstr(at(body_line + 3) + "1: unknown key"));
}

TEST_F(CorpusStoreTest, WritesOneFilePerSignature) {
  const absl::StatusOr<std::string> path = WriteEntry(root_, Entry({1, 2, 3}));
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, root_ + "/planted/planted.fake.race.state.case");
  EXPECT_EQ(*ReadFile(*path), PrintEntry(Entry({1, 2, 3})));
  const absl::StatusOr<std::vector<std::string>> files = ListCaseFiles(root_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(*files, std::vector<std::string>{*path});
}

TEST_F(CorpusStoreTest, SmallerCaseReplacesLargerOne) {
  const auto items = [&] {
    return ReadEntry(root_ + "/planted/planted.fake.race.state.case")
        ->value.As<PlantedCase>()
        .items;
  };
  ASSERT_TRUE(WriteEntry(root_, Entry({1, 2, 3})).ok());
  ASSERT_TRUE(WriteEntry(root_, Entry({1, 2})).ok());
  EXPECT_EQ(items().size(), 2u);
  ASSERT_TRUE(WriteEntry(root_, Entry({1, 2, 3})).ok());
  EXPECT_EQ(items().size(), 2u);
}

TEST_F(CorpusStoreTest, MarginalCaseNeverReplacesAFirmOne) {
  CorpusEntry firm = Entry({1, 2, 3});
  firm.marginal = false;
  ASSERT_TRUE(WriteEntry(root_, Entry({1})).ok());
  const std::string path = *WriteEntry(root_, firm);
  EXPECT_EQ(ReadEntry(path)->value.As<PlantedCase>().items.size(), 3u);
  ASSERT_TRUE(WriteEntry(root_, Entry({1})).ok());
  EXPECT_FALSE(ReadEntry(path)->marginal);
}

TEST_F(CorpusStoreTest, CaseOfAnotherEngineIsReplaced) {
  ASSERT_TRUE(WriteEntry(root_, Entry({1})).ok());
  CorpusEntry other = Entry({1, 2, 3});
  other.engine = "fake@0.5.0";
  const std::string path = *WriteEntry(root_, other);
  EXPECT_EQ(ReadEntry(path)->engine, "fake@0.5.0");
}

TEST_F(CorpusStoreTest, UnwritableFolderLeavesNothingBehind) {
  ASSERT_TRUE(WriteFile(root_, "a file where a folder is wanted").ok());
  const absl::StatusOr<std::string> path = WriteEntry(root_, Entry({1}));
  ASSERT_FALSE(path.ok());
  EXPECT_THAT(std::string(path.status().message()), HasSubstr(root_ + "/planted"));
  EXPECT_EQ(*ReadFile(root_), "a file where a folder is wanted");
}

TEST_F(CorpusStoreTest, ListIsSortedAndRecursive) {
  fs::create_directories(root_ + "/b/c");
  for (const char* name : {"/b/c/2.case", "/b/1.case", "/a.case", "/b/readme.md"}) {
    ASSERT_TRUE(WriteFile(root_ + name, "").ok());
  }
  const absl::StatusOr<std::vector<std::string>> files = ListCaseFiles(root_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(*files, (std::vector<std::string>{root_ + "/a.case", root_ + "/b/1.case",
                                              root_ + "/b/c/2.case"}));
  EXPECT_TRUE(absl::IsNotFound(ListCaseFiles(root_ + "/none").status()));
}

}  // namespace
}  // namespace crosscheck
