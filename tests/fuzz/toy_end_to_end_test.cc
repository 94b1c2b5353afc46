// A second subject that is no model, with a property of its own, goes through executor, smoke,
// minimiser, corpus and replay; nothing outside this file and toy_subject.h knows of it.
#include <algorithm>
#include <filesystem>

#include "fuzz/corpus_store.h"
#include "fuzz/run_case.h"
#include "fuzz/smoke.h"
#include "gtest/gtest.h"
#include "tests/own_folder.h"
#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

bool ForksLate(const ToyCase& c) {
  // A fork after at least two pushes, with a count of 100 or more.
  int pushes = 0;
  for (const ToyOperation& operation : c.program) {
    if (operation.kind == ToyOperationKind::kPush) ++pushes;
    if (operation.kind == ToyOperationKind::kFork && pushes >= 2 && operation.count >= 100)
      return true;
  }
  return false;
}

bool ColdRow(const ToyCase& c) {
  // A row that ends in -3 at temperature 0.
  return c.temperature == 0 &&
         std::any_of(c.rows.begin(), c.rows.end(), [](const std::vector<int32_t>& row) {
           return !row.empty() && row.back() == -3;
         });
}

Runs PingEngineAndOracle(const Case&) {
  Run engine{.role = Role::kEngine, .model = nullptr, .request = {}};
  engine.request.head = {{"op", "ping"}};
  Run oracle = engine;
  oracle.role = Role::kExact;
  return {engine, oracle};
}

Verdict JudgeToy(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ToyCase>();
  Verdict verdict;
  if (!observations[0].ok() || !observations[1].ok()) {
    verdict.kind = VerdictKind::kSetupError;
    return verdict;
  }
  verdict.judged = 1;
  if (!ForksLate(c) && !ColdRow(c)) return verdict;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.stage = ForksLate(c) ? "fork" : "cold";
  verdict.signature.error = ErrorClass::kState;
  verdict.message = "planted";
  return verdict;
}

const Property& ToyProperty() {
  static const Property property = {.name = "toy_property",
                                    .subject = &ToySubject(),
                                    .needs = {"model/1"},
                                    .kills = {},
                                    .benign = {},
                                    .plan = PingEngineAndOracle,
                                    .judge = JudgeToy};
  return property;
}

TEST(ToyEndToEndTest, IsFoundMinimisedKeptAndReplayed) {
  AddSubject(ToySubject());
  AddProperty(ToyProperty());
  const OwnFolder own;
  SmokeOptions options;
  options.executor.engine = "exact:fp32";
  options.properties = {&ToyProperty()};
  options.cases = 3000;
  options.out = own.path();
  const absl::StatusOr<SmokeReport> report = RunSmoke(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->errors.empty()) << report->errors[0];
  EXPECT_GT(report->properties[0].coverage.at("fork"), 0);
  ASSERT_EQ(report->findings.size(), 2u);
  const auto executor = Executor::Create(options.executor);
  ASSERT_TRUE(executor.ok()) << executor.status();
  for (const SmokeFinding& finding : report->findings) {
    EXPECT_TRUE(finding.minimal);
    const absl::StatusOr<CorpusEntry> entry = ReadEntry(finding.case_file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    const auto& smallest = entry->value.As<ToyCase>();
    if (finding.signature.stage == "fork") {
      ASSERT_EQ(smallest.program.size(), 3u);
      EXPECT_EQ(smallest.program[2].kind, ToyOperationKind::kFork);
      EXPECT_EQ(smallest.program[2].count, 100);
      EXPECT_EQ(smallest.swarm, 2);
      EXPECT_EQ(smallest.temperature, 1);
    } else {
      EXPECT_EQ(smallest.rows, (std::vector<std::vector<int32_t>>{{-3}}));
      EXPECT_TRUE(smallest.program.empty());
      EXPECT_EQ(smallest.temperature, 0);
    }
    EXPECT_EQ(smallest.tensor, std::vector<int32_t>{0});
    for (int i = 0; i < 20; ++i) {
      const Verdict verdict = RunCase(ToyProperty(), entry->value, **executor);
      ASSERT_EQ(verdict.kind, finding.verdict);
      ASSERT_EQ(verdict.signature, finding.signature);
    }
  }
}

}  // namespace
}  // namespace crosscheck
