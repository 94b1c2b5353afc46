#include "fuzz/minimise.h"

#include <algorithm>
#include <atomic>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/planted_bugs.h"

namespace crosscheck {
namespace {

using Items = std::vector<int32_t>;

bool Contains(const Items& items, int32_t item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

// Two bugs: "pair" needs the items 7 and 9 and a width of 5, its minimum is {7, 9} or {9, 7};
// "length" needs five items, any.
std::string TwoBugs(const Items& items, int width) {
  if (Contains(items, 7) && Contains(items, 9) && width >= 5) return "pair";
  return items.size() >= 5 ? "length" : "";
}

Minimised Reduce(const Case& original, Executor& executor, const MinimiseOptions& options = {}) {
  return Minimise(PlantedProperty(), original, RunCase(PlantedProperty(), original, executor),
                  executor, options);
}

TEST(MinimiserTest, ReachesTheKnownMinimum) {
  FakeExecutor executor(NamesBug(TwoBugs));
  const Minimised result = Reduce(MakePlanted({1, 7, 30, 4, 9, 9, 2, 80, 5}, 31), executor);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.flaky);
  EXPECT_EQ(result.smallest.As<PlantedCase>().items, (Items{7, 9}));
  EXPECT_EQ(result.smallest.As<PlantedCase>().width, 5);
}

TEST(MinimiserTest, KeepsTheSignatureWhenTwoBugsArePresent) {
  FakeExecutor executor(NamesBug(TwoBugs));
  // Random originals show either bug; removing an item often turns one into the other.
  int pairs = 0, lengths = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Stream stream(seed, "planted");
    PlantedCase planted = MakeSubject<PlantedCase>().random(stream, Limits()).As<PlantedCase>();
    if (seed % 2 == 0) planted.items.insert(planted.items.begin(), {9, 7});
    const Case original = MakePlanted(planted.items, planted.width);
    const Verdict verdict = RunCase(PlantedProperty(), original, executor);
    if (!verdict.IsFinding()) continue;
    const Minimised result = Minimise(PlantedProperty(), original, verdict, executor, {});
    ASSERT_EQ(result.verdict.signature, verdict.signature) << seed;
    ASSERT_TRUE(result.complete) << seed;
    const auto& smallest = result.smallest.As<PlantedCase>();
    if (verdict.signature.stage == "pair") {
      ++pairs;
      ASSERT_THAT(smallest.items, testing::UnorderedElementsAre(7, 9)) << seed;
      ASSERT_EQ(smallest.width, 5) << seed;
    } else {
      ++lengths;
      ASSERT_EQ(smallest.items, Items(5, 0)) << seed;
      ASSERT_EQ(smallest.width, 0) << seed;
    }
  }
  EXPECT_GT(pairs, 20);
  EXPECT_GT(lengths, 20);
}

TEST(MinimiserTest, ResultIsOneMinimal) {
  FakeExecutor executor(NamesBug(TwoBugs));
  const Minimised result = Reduce(MakePlanted({7, 1, 1, 9, 3}, 50), executor);
  ASSERT_TRUE(result.complete);
  for (const Case& step : result.smallest.subject().shrink(result.smallest)) {
    const Verdict verdict = RunCase(PlantedProperty(), step, executor);
    EXPECT_NE(verdict.signature, result.verdict.signature) << step.subject().print(step);
  }
}

TEST(MinimiserTest, CountsEveryEvaluation) {
  FakeExecutor executor(NamesBug(TwoBugs));
  const Minimised result = Reduce(MakePlanted({7, 9, 3, 4}, 20), executor);
  EXPECT_EQ(result.evaluations, executor.observed - 1);  // one run made the verdict of the original
  EXPECT_LT(result.evaluations, 100);
}

TEST(MinimiserTest, StopsAtTheEvaluationBudgetWithTheBestSoFar) {
  FakeExecutor executor(NamesBug(TwoBugs));
  const Case original = MakePlanted({1, 7, 30, 4, 9, 9, 2, 80, 5}, 31);
  const Minimised result = Reduce(original, executor, {.max_evaluations = 9});
  EXPECT_LE(result.evaluations, 9);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.verdict.signature.stage, "pair");
  EXPECT_LT(result.smallest.As<PlantedCase>().items.size(), 9u);
}

TEST(MinimiserTest, StopsAtTheTimeBudget) {
  FakeExecutor executor(NamesBug(TwoBugs));
  const Case original = MakePlanted({1, 7, 30, 4, 9}, 31);
  const Minimised result = Reduce(original, executor, {.max_seconds = 0});
  EXPECT_EQ(result.evaluations, 0);
  EXPECT_FALSE(result.complete);
  EXPECT_TRUE(original.subject().equal(result.smallest, original));
}

TEST(MinimiserTest, KeepsTheBestSoFarWhenInterrupted) {
  std::atomic<bool> interrupted = false;
  MinimiseOptions options{.interrupted = &interrupted};
  options.progress = [&](const Case&, const Verdict&, int) { interrupted = true; };
  FakeExecutor executor(NamesBug(TwoBugs));
  const Minimised result =
      Reduce(MakePlanted({1, 7, 30, 4, 9, 9, 2, 80, 5}, 31), executor, options);
  EXPECT_FALSE(result.complete);
  EXPECT_FALSE(result.flaky);
  EXPECT_EQ(result.verdict.signature.stage, "pair");
  EXPECT_LT(result.smallest.As<PlantedCase>().items.size(), 9u);
}

TEST(MinimiserTest, MarginalCandidatesDoNotReplaceFirmOnes) {
  // Below a width of 20 the failure is marginal.
  FakeExecutor executor([](const Message& request) {
    const int width = request.head["width"].get<int>();
    Reply reply;
    reply.message.head = {{"bug", width >= 5 ? "wide" : ""}, {"marginal", width < 20}};
    return reply;
  });
  const Minimised firm = Reduce(MakePlanted({1, 2}, 40), executor);
  EXPECT_FALSE(firm.verdict.marginal);
  EXPECT_EQ(firm.smallest.As<PlantedCase>().width, 20);
  const Minimised marginal = Reduce(MakePlanted({1, 2}, 15), executor);
  EXPECT_TRUE(marginal.verdict.marginal);
  EXPECT_EQ(marginal.smallest.As<PlantedCase>().width, 5);
}

TEST(MinimiserTest, WeakFailureDoesNotReplaceAClearOne) {
  static const Property property = [] {
    Property p = PlantedProperty();
    p.judge = [](const Case& c, Observations&) {
      Verdict verdict;
      const int width = c.As<PlantedCase>().width;
      verdict.judged = 1;
      verdict.kind = width > 1 ? VerdictKind::kEngineBug : VerdictKind::kPass;
      verdict.measures = {
          {.metric = "width", .path = "", .error = static_cast<double>(width), .bound = 1}};
      return verdict;
    };
    return p;
  }();
  FakeExecutor executor(NamesBug(TwoBugs));
  const auto smallest_width = [&](int width) {
    const Case original = MakePlanted({}, width);
    const Verdict verdict = RunCase(property, original, executor);
    return Minimise(property, original, verdict, executor, {}).smallest.As<PlantedCase>().width;
  };
  EXPECT_EQ(smallest_width(40), 10);
  EXPECT_EQ(smallest_width(9), 2);
}

// Fails in a share of the runs, by a fixed sequence of draws.
FakeExecutor::Answer FailsInShare(double share) {
  return [stream = std::make_shared<Stream>(7, "flaky"), share](const Message& request) {
    Reply reply;
    const Items items = request.head["items"].get<Items>();
    const bool drawn = static_cast<double>(stream->Int(0, 999)) < 1000 * share;
    reply.message.head["bug"] = drawn && Contains(items, 7) ? "race" : "";
    return reply;
  };
}

TEST(MinimiserTest, FlakyFailureIsReducedByTheRatioTest) {
  FakeExecutor executor(FailsInShare(0.7));
  Verdict verdict;
  const Case original = MakePlanted({1, 2, 7, 3}, 12);
  while (!verdict.IsFinding()) verdict = RunCase(PlantedProperty(), original, executor);
  const Minimised result = Minimise(PlantedProperty(), original, verdict, executor,
                                    {.max_evaluations = 5000, .replays = 10});
  EXPECT_TRUE(result.flaky);
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.verdict.kind, VerdictKind::kFlaky);
  EXPECT_EQ(result.verdict.signature.stage, "race");
  EXPECT_EQ(result.smallest.As<PlantedCase>().items, (Items{7}));
  EXPECT_GT(result.failure_rate, 0.3);
  EXPECT_LT(result.failure_rate, 1);
}

TEST(MinimiserTest, FailureThatNeverComesBackIsFlakyAndNotReduced) {
  FakeExecutor executor(FailsInShare(0));
  const Case original = MakePlanted({1, 2, 7, 3}, 12);
  Verdict verdict;
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature = {"planted", "fake", "race", ErrorClass::kState};
  const Minimised result = Minimise(PlantedProperty(), original, verdict, executor, {});
  EXPECT_EQ(result.verdict.kind, VerdictKind::kFlaky);
  EXPECT_EQ(result.failure_rate, 0);
  EXPECT_FALSE(result.complete);
  EXPECT_TRUE(original.subject().equal(result.smallest, original));
}

TEST(MinimiserTest, ReferenceDriftOfTheSameSignatureIsAnotherFinding) {
  static const Property property = [] {
    Property p = PlantedProperty();
    p.judge = [](const Case& c, Observations&) {
      Verdict verdict;
      verdict.kind =
          c.As<PlantedCase>().width >= 9 ? VerdictKind::kEngineBug : VerdictKind::kReferenceDrift;
      verdict.signature.error = ErrorClass::kNumeric;
      return verdict;
    };
    return p;
  }();
  FakeExecutor executor(NamesBug(TwoBugs));
  const Case original = MakePlanted({}, 30);
  const Minimised result =
      Minimise(property, original, RunCase(property, original, executor), executor, {});
  EXPECT_EQ(result.verdict.kind, VerdictKind::kEngineBug);
  EXPECT_EQ(result.smallest.As<PlantedCase>().width, 9);
}

}  // namespace
}  // namespace crosscheck
