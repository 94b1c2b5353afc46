// What corpus/ says is true: regressions fail as recorded on the engine that they were found with
// and pass on libtorch; a known issue covers its own case.
#include <set>

#include "absl/strings/str_cat.h"
#include "engines/registry.h"
#include "fuzz/corpus_store.h"
#include "fuzz/known_issues.h"
#include "fuzz/run_case.h"
#include "gtest/gtest.h"

namespace crosscheck {
namespace {

std::unique_ptr<Executor> Start(const std::string& engine) {
  ExecutorOptions options;
  options.engine = engine;
  absl::StatusOr<std::unique_ptr<Executor>> executor = Executor::Create(options);
  EXPECT_TRUE(executor.ok()) << executor.status();
  return executor.ok() ? *std::move(executor) : nullptr;
}

// Why `engine` cannot run here, or "".
std::string Missing(std::string_view engine) {
  for (const EngineInfo& info : ListEngines()) {
    if (info.name == engine && !info.available) return info.hint;
  }
  return "";
}

std::vector<CorpusEntry> Regressions() {
  std::vector<CorpusEntry> entries;
  const auto files = ListCaseFiles("corpus/regressions");
  EXPECT_TRUE(files.ok()) << files.status();
  for (const std::string& file : files.value_or(std::vector<std::string>())) {
    absl::StatusOr<CorpusEntry> entry = ReadEntry(file);
    EXPECT_TRUE(entry.ok()) << file << ": " << entry.status();
    if (entry.ok()) entries.push_back(*std::move(entry));
  }
  EXPECT_FALSE(entries.empty());
  return entries;
}

TEST(CorpusTest, RegressionsFailAsRecorded) {
  if (const std::string hint = Missing("lattice"); !hint.empty()) GTEST_SKIP() << hint;
  const auto lattice = Start("lattice");
  ASSERT_NE(lattice, nullptr);
  for (const CorpusEntry& entry : Regressions()) {
    ASSERT_EQ(entry.engine, "lattice") << "another engine: start it here too";
    const Property* property = FindProperty(entry.signature.property);
    ASSERT_NE(property, nullptr) << entry.signature.ToString();
    const Verdict verdict = RunCase(*property, entry.value, *lattice);
    EXPECT_EQ(verdict.kind, entry.verdict) << entry.signature.ToString() << verdict.message;
    EXPECT_EQ(verdict.signature.ToString(), entry.signature.ToString()) << verdict.message;
    EXPECT_EQ(verdict.marginal, entry.marginal) << entry.signature.ToString();
  }
}

TEST(CorpusTest, RegressionsPassOnTheSecondReference) {
  const auto torch = Start("torch");
  ASSERT_NE(torch, nullptr);
  for (const CorpusEntry& entry : Regressions()) {
    const Verdict verdict = RunCase(*FindProperty(entry.signature.property), entry.value, *torch);
    EXPECT_EQ(verdict.kind, VerdictKind::kPass) << entry.signature.ToString() << verdict.message;
  }
}

TEST(CorpusTest, KnownIssuesCoverTheCasesThatTheyNameAndEveryRegressionIsKnown) {
  const auto issues = ReadKnownIssues("corpus/known_issues.txt");
  ASSERT_TRUE(issues.ok()) << issues.status();
  std::set<std::string> named;
  for (const KnownIssue& issue : *issues) {
    const std::string file = absl::StrCat("corpus/", issue.case_file);
    const absl::StatusOr<CorpusEntry> entry = ReadEntry(file);
    ASSERT_TRUE(entry.ok()) << "line " << issue.line << ": " << entry.status();
    const size_t at = issue.engine.find('@');
    ASSERT_NE(at, std::string::npos) << "line " << issue.line << ": the version is missing";
    EXPECT_TRUE(
        issue.Matches(entry->signature, entry->engine, issue.engine.substr(at + 1), entry->value))
        << "line " << issue.line;
    EXPECT_TRUE(named.insert(file).second) << "line " << issue.line << " shares its case";
  }
  EXPECT_EQ(named.size(), Regressions().size());
}

}  // namespace
}  // namespace crosscheck
