#include "properties/arbitrary.h"

#include <gtest/gtest.h>

#include <sstream>

#include "properties/subjects/model_run.h"
#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

TEST(ArbitraryTest, RapidCheckRunsAPropertyOfCases) {
  EXPECT_TRUE(CheckCases("prints what it parses", 1, 200, [] {
    const Case c = *ArbitraryCase(ModelRunSubject(), Limits{});
    RC_CLASSIFY(c.As<ModelRunCase>().path == ModelPath::kSession);
    RC_ASSERT(
        ModelRunSubject().equal(ModelRunSubject().parse(ModelRunSubject().print(c)).value(), c));
  }));
}

TEST(ArbitraryTest, OneSeedGivesTheSameCasesEveryTime) {
  const auto run = [](uint64_t seed) {
    std::string texts;
    EXPECT_TRUE(CheckCases("", seed, 20, [&] {
      texts += ToySubject().print(*ArbitraryCase(ToySubject(), Limits{}));
    }));
    return texts;
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST(ArbitraryTest, AFalsePropertyFails) {
  EXPECT_FALSE(CheckCases("programs are short", 1, 200, [] {
    const Case c = *ArbitraryCase(ToySubject(), Limits{});
    RC_ASSERT(c.As<ToyCase>().program.size() < 6);
  }));
}

TEST(ArbitraryTest, RapidCheckShrinksAFalsePropertyToItsMinimum) {
  const Subject& toy = ToySubject();
  const auto fails = [](const Case& c) { return c.As<ToyCase>().program.size() >= 3; };
  // The loop of rc::check without its report: take the first smaller case that still fails.
  rc::Random random(7);
  rc::Shrinkable<Case> failing = ArbitraryCase(toy, Limits{})(random, 0);
  while (!fails(failing.value())) {
    random.next();
    failing = ArbitraryCase(toy, Limits{})(random, 0);
  }
  for (bool again = true; again;) {
    auto rest = failing.shrinks();
    auto smaller = rest.next();
    while (smaller && !fails(smaller->value())) smaller = rest.next();
    again = static_cast<bool>(smaller);
    if (again) failing = *smaller;
  }
  const std::string minimum = toy.print(
      toy.parse("program.0.count = 1\nprogram.1.count = 1\nprogram.2.count = 1\n").value());
  EXPECT_EQ(toy.print(failing.value()), minimum);
}

TEST(ArbitraryTest, ShowsACaseAsItsText) {
  const Case c = ToySubject().parse("seed = 3\n").value();
  std::ostringstream out;
  rc::show(c, out);
  EXPECT_EQ(out.str(), ToySubject().print(c));
}

}  // namespace
}  // namespace crosscheck
