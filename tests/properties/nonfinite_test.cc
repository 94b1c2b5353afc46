#include "properties/judges/nonfinite.h"

#include <gtest/gtest.h>

#include <limits>

namespace crosscheck {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

LogitsAnswer Rows(std::vector<double> values) {
  LogitsAnswer answer;
  answer.sequences = {{{0, 1}, 2, std::move(values)}};
  return answer;
}

TEST(NonfiniteTest, FiniteAnswersHaveNoVerdictHoweverLargeTheyAre) {
  EXPECT_FALSE(JudgeNonfinite(Rows({1, 2, 3, 4}), Rows({1e308, -1e308, 0, 5e-324}), "readout"));
}

TEST(NonfiniteTest, AValueOfTheEngineThatIsNotFiniteIsItsBugAndNamed) {
  for (double value : {kNan, kInfinity, -kInfinity}) {
    const auto verdict = JudgeNonfinite(Rows({1, 2, 3, 4}), Rows({1, 2, value, 4}), "session");
    ASSERT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->kind, VerdictKind::kEngineBug);
    EXPECT_EQ(verdict->signature.error, ErrorClass::kNonfinite);
    EXPECT_EQ(verdict->signature.stage, "session");
    EXPECT_NE(verdict->message.find("position 1"), std::string::npos) << verdict->message;
  }
}

// Equal garbage on both sides is no agreement.
TEST(NonfiniteTest, AnExactModelThatIsNotFiniteNeverPasses) {
  for (double engine : {1.0, kNan, kInfinity}) {
    const auto verdict =
        JudgeNonfinite(Rows({1, 2, kInfinity, 4}), Rows({1, 2, engine, 4}), "readout");
    ASSERT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->kind, VerdictKind::kReferenceDrift);
    EXPECT_EQ(verdict->signature.error, ErrorClass::kNonfinite);
  }
}

}  // namespace
}  // namespace crosscheck
