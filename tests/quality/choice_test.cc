#include "quality/metrics/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace crosscheck::quality {
namespace {

using ::testing::ElementsAre;

TEST(PickChoices, OfTheWorkedQuestion) {
  const std::vector<Choice> choices = {
      {-6, "red", 1}, {-7.5, "a blue sky", 3}, {-9, "green grass here", 3}, {-8, "blue", 1}};
  EXPECT_THAT(PickChoices(choices), ElementsAre(0, 2, 2, 1));
}

TEST(PickChoices, CharactersAreCodePointsAndTheFirstWinsTies) {
  // -6 over 3 code points or 6 bytes; -4 over 3.
  const std::vector<Choice> choices = {{-6, "\u00e9\u00e9\u00e9", 1}, {-4, "abc", 1}};
  EXPECT_THAT(PickChoices(choices), ElementsAre(1, 1, 0, 1));
  EXPECT_THAT(PickChoices(std::vector<Choice>{{-4, "abc", 2}, {-4, "xyz", 2}}),
              ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(PickChoices(std::vector<Choice>{{-4, "", 0}}), ElementsAre(0, 0, 0, 0));
}

TEST(AccuracyOf, WithItsStandardError) {
  const Accuracy a = AccuracyOf({true, true, true, false, false});
  EXPECT_NEAR(a.value, 0.6, 1e-15);
  EXPECT_NEAR(a.standard_error, std::sqrt(0.6 * 0.4 / 4), 1e-15);
  EXPECT_TRUE(std::isnan(AccuracyOf({}).value));
}

TEST(PairedAnswers, OfTheWorkedCounts) {
  const PairedAnswers answers{.questions = 100, .only_candidate = 3, .only_reference = 9};
  EXPECT_NEAR(answers.difference(), -0.06, 1e-15);
  EXPECT_NEAR(answers.standard_error(), 0.034117, 5e-7);
  EXPECT_NEAR(answers.interval(0.95).lower, -0.1269, 5e-5);
  EXPECT_NEAR(answers.interval(0.95).upper, 0.0069, 5e-5);
  EXPECT_NEAR(answers.p_value(), 0.146, 5e-4);
  EXPECT_EQ(PairedAnswers{.questions = 10}.p_value(), 1);
}

TEST(CompareAnswers, CountsFlipsAmongWrongAnswersToo) {
  const PairedAnswers answers = CompareAnswers({0, 1, 2, 3, 1}, {0, 0, 1, 2, 1}, {0, 0, 2, 0, 0});
  EXPECT_EQ(answers.only_candidate, 1);
  EXPECT_EQ(answers.only_reference, 1);
  EXPECT_EQ(answers.wrong_otherwise, 1);
  EXPECT_EQ(answers.flips(), 3);
  EXPECT_EQ(answers.difference(), 0);
  EXPECT_EQ(MeanAbsoluteChange({-1, -2}, {-1.5, -1}), 0.75);
}

}  // namespace
}  // namespace crosscheck::quality
