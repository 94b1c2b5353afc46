#include "fuzz/run_case.h"

#include <stdexcept>

#include "gtest/gtest.h"
#include "tests/fuzz/planted_bugs.h"

namespace crosscheck {
namespace {

Property Judging(Verdict (*judge)(const Case&, Observations&)) {
  Property property = PlantedProperty();
  property.judge = judge;
  return property;
}

Verdict VerdictOf(const Property& property) {
  FakeExecutor executor(NamesBug(
      [](const std::vector<int32_t>&, int width) { return std::string(width > 5 ? "wide" : ""); }));
  return RunCase(property, MakePlanted({1}, 9), executor);
}

TEST(RunCaseTest, FillsPropertyAndEngineOfTheSignature) {
  const Verdict verdict = VerdictOf(PlantedProperty());
  EXPECT_EQ(verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(verdict.signature.ToString(), "planted/fake/wide/state");
}

TEST(RunCaseTest, MissingExtensionIsUnsupportedAndNothingRuns) {
  Property property = PlantedProperty();
  property.needs = {"planted/1", "model/1"};
  FakeExecutor executor([](const Message&) { return Reply(); });
  const Verdict verdict = RunCase(property, MakePlanted({1}, 9), executor);
  EXPECT_EQ(verdict.kind, VerdictKind::kUnsupported);
  EXPECT_EQ(verdict.message, "the engine lacks model/1");
  EXPECT_EQ(executor.observed, 0);
}

TEST(RunCaseTest, PassThatJudgedNothingIsUnsupported) {
  const Verdict verdict = VerdictOf(Judging([](const Case&, Observations&) { return Verdict(); }));
  EXPECT_EQ(verdict.kind, VerdictKind::kUnsupported);
  EXPECT_EQ(verdict.message, "nothing was judged");
}

TEST(RunCaseTest, PassThatJudgedSomethingStays) {
  const Verdict verdict = VerdictOf(Judging([](const Case&, Observations&) {
    Verdict pass;
    pass.judged = 3;
    return pass;
  }));
  EXPECT_EQ(verdict.kind, VerdictKind::kPass);
}

TEST(RunCaseTest, ExceptionIsASetupError) {
  const Verdict verdict = VerdictOf(Judging(
      [](const Case&, Observations&) -> Verdict { throw std::runtime_error("no such key"); }));
  EXPECT_EQ(verdict.kind, VerdictKind::kSetupError);
  EXPECT_NE(verdict.message.find("no such key"), std::string::npos);
  EXPECT_EQ(verdict.signature.property, "planted");
}

}  // namespace
}  // namespace crosscheck
