// The laws of shrinking, which cost as much as all others (visitor_laws_test.cc).
#include <gtest/gtest.h>

#include "tests/properties/toy_subject.h"
#include "tests/properties/visitor_laws.h"

namespace crosscheck {
namespace {

class ShrinkLaws : public testing::TestWithParam<const Subject*> {
 protected:
  const Subject& subject() const { return *GetParam(); }
};

// One case has hundreds of candidates.
TEST_P(ShrinkLaws, ShrinkCandidatesAreLegalAndSmaller) {
  EXPECT_EQ(ShrinkCandidatesAreLegalAndSmaller(subject(), LawCases() / 100), "");
}

TEST_P(ShrinkLaws, ShrinkingEndsAtTheSimplestCase) {
  EXPECT_EQ(ShrinkingEndsAtTheSimplestCase(subject(), LawCases() / 1000), "");
}

INSTANTIATE_TEST_SUITE_P(AllSubjects, ShrinkLaws, testing::ValuesIn(LawSubjects()),
                         [](const auto& info) { return std::string(info.param->name); });

// Every law must be able to fail: one broken interpreter each.

TEST(BrokenShrinkTest, ShrinkThatOffersTheCaseItselfIsSeen) {
  Subject broken = ToySubject();
  broken.shrink = [](const Case& c) { return std::vector<Case>{c}; };
  EXPECT_NE(ShrinkCandidatesAreLegalAndSmaller(broken, 100), "");
  EXPECT_NE(ShrinkingEndsAtTheSimplestCase(broken, 1), "");
}

TEST(BrokenShrinkTest, ShrinkThatStopsEarlyIsSeen) {
  Subject broken = ToySubject();
  broken.shrink = [](const Case& c) {
    std::vector<Case> smaller = ToySubject().shrink(c);
    if (smaller.size() < 5) smaller.clear();
    return smaller;
  };
  EXPECT_NE(ShrinkingEndsAtTheSimplestCase(broken, 4), "");
}

}  // namespace
}  // namespace crosscheck
