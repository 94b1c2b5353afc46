#include "properties/verdict.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

namespace crosscheck {
namespace {

TEST(SignatureTest, TextFormReadsBack) {
  Signature signature{"logit_closeness", "lattice", "session", ErrorClass::kNumeric};
  EXPECT_EQ(signature.ToString(), "logit_closeness/lattice/session/numeric");
  auto same = Signature::Parse(signature.ToString());
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(*same, signature);
}

TEST(SignatureTest, ParseRejectsOtherShapesAndUnknownClasses) {
  for (const char* text : {"", "a/b/c", "a/b/c/numeric/e", "a/b/c/numerics", "/b/c/numeric"}) {
    EXPECT_FALSE(Signature::Parse(text).ok()) << text;
  }
}

TEST(SignatureTest, LineFitsEightyCharactersHasNoDigitsAndTellsSignaturesApart) {
  std::set<std::string> lines;
  std::string property(70, 'p');
  for (const char* stage : {"session", "a_stage_of_much_length_that_is_cut", "x9"}) {
    for (ErrorClass error : {ErrorClass::kNumeric, ErrorClass::kDistribution}) {
      for (const char* family : {"lattice", "lattice2"}) {
        std::string line = Signature{property, family, stage, error}.ToLine();
        EXPECT_LE(line.size(), 80u) << line;
        EXPECT_EQ(line.rfind("Assertion failure: ppp", 0), 0u) << line;
        for (char c : line) EXPECT_FALSE(std::isdigit(static_cast<unsigned char>(c))) << line;
        lines.insert(line);
      }
    }
  }
  EXPECT_EQ(lines.size(), 12u);
  std::string readable =
      Signature{"greedy_prefix", "lattice", "session", ErrorClass::kToken}.ToLine();
  EXPECT_EQ(readable.rfind("Assertion failure: greedy-prefix/lattice-exact/session/t", 0), 0u)
      << readable;
}

TEST(VerdictTest, FindingsAreTheKindsThatSomebodyMustLookAt) {
  int findings = 0;
  for (int kind = 0; kind <= static_cast<int>(VerdictKind::kFlaky); ++kind) {
    Verdict verdict;
    verdict.kind = static_cast<VerdictKind>(kind);
    findings += verdict.IsFinding() ? 1 : 0;
  }
  EXPECT_EQ(findings, 5);
  Verdict near_tie;
  near_tie.kind = VerdictKind::kNearTie;
  EXPECT_FALSE(near_tie.IsFinding());
}

}  // namespace
}  // namespace crosscheck
