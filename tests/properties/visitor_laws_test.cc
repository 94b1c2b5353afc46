#include "tests/properties/visitor_laws.h"

#include <gtest/gtest.h>

#include "tests/properties/toy_subject.h"

namespace crosscheck {
namespace {

class VisitorLaws : public testing::TestWithParam<const Subject*> {
 protected:
  const Subject& subject() const { return *GetParam(); }
};

TEST_P(VisitorLaws, ReadOfWriteIsTheCase) {
  EXPECT_EQ(ReadOfWriteIsTheCase(subject(), LawCases()), "");
}

TEST_P(VisitorLaws, WriteOfReadIsAFixpoint) {
  EXPECT_EQ(WriteOfReadIsAFixpoint(subject(), LawCases()), "");
}

TEST_P(VisitorLaws, ParseOfPrintIsTheCase) {
  EXPECT_EQ(ParseOfPrintIsTheCase(subject(), LawCases()), "");
}

TEST_P(VisitorLaws, ClampKeepsLegalCases) {
  EXPECT_EQ(ClampKeepsLegalCases(subject(), LawCases()), "");
}

TEST_P(VisitorLaws, ZeroBytesAreTheSimplestCase) {
  EXPECT_EQ(ZeroBytesAreTheSimplestCase(subject()), "");
}

TEST_P(VisitorLaws, TrailingAndMissingBytesAreZero) {
  EXPECT_EQ(TrailingAndMissingBytesAreZero(subject(), LawCases()), "");
}

TEST_P(VisitorLaws, RandomReachesBothBoundsOfEveryField) {
  EXPECT_EQ(RandomReachesBothBoundsOfEveryField(subject()), "");
}

TEST_P(VisitorLaws, NamesOfFieldsAreUnique) {
  EXPECT_EQ(NamesOfFieldsAreUnique(subject(), 1000), "");
}

INSTANTIATE_TEST_SUITE_P(AllSubjects, VisitorLaws, testing::ValuesIn(LawSubjects()),
                         [](const auto& info) { return std::string(info.param->name); });

// Every law must be able to fail: one broken interpreter each.

TEST(BrokenVisitorTest, WriteThatForgetsTheLastByteViolatesReadOfWrite) {
  Subject broken = ToySubject();
  broken.write = [](const Case& c) {
    std::string bytes = ToySubject().write(c);
    bytes.pop_back();
    return bytes;
  };
  EXPECT_NE(ReadOfWriteIsTheCase(broken, 1000), "");
}

TEST(BrokenVisitorTest, ReadThatShiftsBytesViolatesTheFixpoint) {
  Subject broken = ToySubject();
  broken.read = [](Bytes bytes, const Limits& limits) {
    return ToySubject().read(bytes.subspan(bytes.empty() ? 0 : 1), limits);
  };
  EXPECT_NE(WriteOfReadIsAFixpoint(broken, 1000), "");
}

TEST(BrokenVisitorTest, ReadThatIgnoresTheLimitsViolatesTheFixpoint) {
  Subject broken = ToySubject();
  broken.read = [](Bytes bytes, const Limits&) { return ToySubject().read(bytes, kWidestLimits); };
  EXPECT_NE(WriteOfReadIsAFixpoint(broken, 1000), "");
}

TEST(BrokenVisitorTest, PrintWithoutTheSeedViolatesParseOfPrint) {
  Subject broken = ToySubject();
  broken.print = [](const Case& c) {
    const std::string text = ToySubject().print(c);
    return text.substr(0, text.find("seed"));
  };
  EXPECT_NE(ParseOfPrintIsTheCase(broken, 1000), "");
}

TEST(BrokenVisitorTest, ClampThatChangesALegalCaseIsSeen) {
  Subject broken = ToySubject();
  broken.clamp = [](const Case& c, const Limits&) { return ToySubject().clamp(c, LawLimits(2)); };
  EXPECT_NE(ClampKeepsLegalCases(broken, 1000), "");
}

TEST(BrokenVisitorTest, SimplestCaseThatIsNotAllZeroIsSeen) {
  Subject broken = ToySubject();
  broken.read = [](Bytes bytes, const Limits& limits) {
    const std::string one(8, '\1');
    return bytes.empty() ? ReadString(ToySubject(), one, limits) : ToySubject().read(bytes, limits);
  };
  EXPECT_NE(ZeroBytesAreTheSimplestCase(broken), "");
}

TEST(BrokenVisitorTest, LengthsTakenFromTheEndAreSeen) {
  Subject broken = ToySubject();
  broken.read = [](Bytes bytes, const Limits& limits) {
    const std::string reversed(bytes.rbegin(), bytes.rend());
    return ReadString(ToySubject(), reversed, limits);
  };
  EXPECT_NE(TrailingAndMissingBytesAreZero(broken, 1000), "");
}

TEST(BrokenVisitorTest, RandomThatNeverDrawsTheMaximumIsSeen) {
  Subject broken = ToySubject();
  broken.random = [](Stream& stream, const Limits&) {
    return ToySubject().random(stream, LawLimits(2));
  };
  EXPECT_NE(RandomReachesBothBoundsOfEveryField(broken), "");
}

TEST(BrokenVisitorTest, NameThatStandsForTwoFieldsIsSeen) {
  Subject broken = ToySubject();
  broken.fields = [](const Case& c) {
    auto fields = ToySubject().fields(c);
    fields.push_back(fields.front());
    return fields;
  };
  EXPECT_NE(NamesOfFieldsAreUnique(broken, 1), "");
}

// A visitor that breaks the rule that fields are visited whatever the limits are.
struct CrookedCase {
  static constexpr std::string_view kSubjectName = "crooked";
  bool flag = false;
  int32_t value = 0;
  bool operator==(const CrookedCase&) const = default;
};
void Visit(FieldVisitor& v, const Limits& limits, CrookedCase& c) {
  if (limits.masks) v.Bool("flag", c.flag);
  v.Int("value", c.value, {.lo = 0, .hi = 9});
}
std::vector<std::string> Labels(const CrookedCase&) { return {}; }

TEST(BrokenVisitorTest, FieldThatDependsOnTheLimitsIsSeen) {
  EXPECT_NE(ReadOfWriteIsTheCase(MakeSubject<CrookedCase>(), 1000), "");
}

}  // namespace
}  // namespace crosscheck
