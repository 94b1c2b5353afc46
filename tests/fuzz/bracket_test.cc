// Which versions fail: the arithmetic on hand-made verdicts, and every case of corpus/history on
// the versions that are built.
#include "fuzz/bracket.h"

#include <map>

#include "absl/strings/str_split.h"
#include "engines/registry.h"
#include "fuzz/corpus_store.h"
#include "fuzz/run_case.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

std::vector<VersionVerdict> Versions(const std::vector<Standing>& standings) {
  std::vector<VersionVerdict> versions;
  for (size_t i = 0; i < standings.size(); ++i) {
    const std::string version = "0." + std::to_string(i + 1);
    versions.push_back({.engine = "e@" + version, .version = version, .verdict = {}});
    versions.back().standing = standings[i];
  }
  return versions;
}

TEST(BracketTest, NamesTheFirstBadAndTheFirstGoodVersion) {
  const Bracket bracket =
      MakeBracket(Versions({Standing::kBad, Standing::kBad, Standing::kGood, Standing::kGood}));
  EXPECT_EQ(bracket.first_bad, 0);
  EXPECT_EQ(bracket.last_bad, 1);
  EXPECT_EQ(bracket.first_good, 2);
  EXPECT_EQ(bracket.ToString(), "bad 0.1-0.2, good 0.3-0.4");
}

TEST(BracketTest, ABugThatCameLaterAndIsThereStillHasNoFix) {
  const Bracket bracket = MakeBracket(Versions(
      {Standing::kUnjudged, Standing::kGood, Standing::kOther, Standing::kBad, Standing::kBad}));
  EXPECT_EQ(bracket.first_bad, 3);
  EXPECT_EQ(bracket.last_bad, 4);
  EXPECT_EQ(bracket.first_good, -1);
  EXPECT_EQ(bracket.ToString(), "unjudged 0.1, good 0.2, other 0.3, bad 0.4-0.5");
}

TEST(BracketTest, TheFixIsTheOneAfterTheLastBadVersion) {
  const Bracket bracket =
      MakeBracket(Versions({Standing::kBad, Standing::kGood, Standing::kBad, Standing::kGood}));
  EXPECT_EQ(bracket.first_bad, 0);
  EXPECT_EQ(bracket.first_good, 3);
}

TEST(BracketTest, WithoutABadVersionThereIsNeither) {
  const Bracket bracket = MakeBracket(Versions({Standing::kGood, Standing::kUnjudged}));
  EXPECT_EQ(bracket.first_bad, -1);
  EXPECT_EQ(bracket.first_good, -1);
}

// Every version that a case file may name, oldest first.
std::vector<std::string> AllVersions() {
  return {"0.2.1", "0.2.2",  "0.2.3",  "0.4.0",  "0.4.1",  "0.5.0", "0.7.0",
          "0.9.0", "0.11.1", "0.12.0", "0.13.0", "0.14.0", "0.15.0"};
}

// "bad 0.2.1-0.4.0, good 0.4.1" for the versions in the order `all`.
std::map<std::string, std::string> StandingsOf(const std::string& text,
                                               const std::vector<std::string>& all) {
  std::map<std::string, std::string> standings;
  for (absl::string_view part : absl::StrSplit(text, ", ")) {
    const std::pair<std::string, std::string> words = absl::StrSplit(part, absl::MaxSplits(' ', 1));
    const std::vector<std::string> ends = absl::StrSplit(words.second, '-');
    bool inside = false;
    for (const std::string& version : all) {
      inside = inside || version == ends.front();
      if (inside) standings[version] = words.first;
      if (version == ends.back()) break;
    }
  }
  return standings;
}

class HistoryTest : public testing::Test {
 protected:
  static absl::StatusOr<Executor*> Get(const std::string& engine) {
    static std::map<std::string, std::unique_ptr<Executor>> executors;
    std::unique_ptr<Executor>& slot = executors[engine];
    if (slot == nullptr) {
      auto made = Executor::Create({.engine = engine});
      if (!made.ok()) return made.status();
      slot = *std::move(made);
    }
    return slot.get();
  }
};

TEST_F(HistoryTest, EveryCaseSeparatesTheVersionsThatItsFileNames) {
  const auto engines = ExpandEngines("lattice@*");
  if (!engines.ok()) GTEST_SKIP() << engines.status();
  std::vector<std::string> versions;
  for (const std::string& engine : *engines) {
    if (engine != "lattice@local") versions.push_back(engine.substr(engine.find('@') + 1));
  }
  const auto files = ListCaseFiles("corpus/history");
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_GE(files->size(), 12u);
  int separated = 0;
  for (const std::string& file : *files) {
    SCOPED_TRACE(file);
    const auto entry = ReadEntry(file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    EXPECT_FALSE(entry->bug.empty());
    EXPECT_FALSE(entry->marginal);
    const auto recorded = StandingsOf(entry->versions, AllVersions());
    const Property* property = FindProperty(entry->signature.property);
    ASSERT_NE(property, nullptr);
    bool bad = false, good = false;
    for (const std::string& version : versions) {
      const auto bracket =
          BracketCase(*property, entry->value, entry->signature, {"lattice@" + version}, Get);
      ASSERT_TRUE(bracket.ok()) << bracket.status();
      const VersionVerdict& row = bracket->versions[0];
      EXPECT_EQ(kStandingNames[static_cast<int>(row.standing)], recorded.at(version))
          << version << ": " << row.verdict.signature.ToString() << " " << row.verdict.message;
      bad = bad || row.standing == Standing::kBad;
      good = good || row.standing == Standing::kGood;
    }
    separated += bad && good;
  }
  if (versions.size() >= 4) EXPECT_GT(separated, 0) << "no case separates the versions built here";
}

TEST_F(HistoryTest, EveryCasePassesOnTheSecondReference) {
  const auto files = ListCaseFiles("corpus/history");
  ASSERT_TRUE(files.ok()) << files.status();
  const auto torch = Get("torch");
  ASSERT_TRUE(torch.ok()) << torch.status();
  for (const std::string& file : *files) {
    const auto entry = ReadEntry(file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    const Verdict verdict =
        RunCase(*FindProperty(entry->signature.property), entry->value, **torch);
    EXPECT_EQ(verdict.kind, VerdictKind::kPass) << file << verdict.message;
  }
}

}  // namespace
}  // namespace crosscheck
