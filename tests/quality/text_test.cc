#include "quality/metrics/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "quality/metrics/bleu.h"
#include "quality/metrics/characters.h"

namespace crosscheck::quality {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<int32_t>;

constexpr char kCat[] = "The cat sat on the mat.", kCatReference[] = "The cat is on the mat.";
constexpr char kRain[] = "It is raining, again.", kRainReference[] = "It's raining again.";

TEST(Bleu, OfTheWorkedCorpus) {
  BleuCounts counts = CountBleu(kCat, kCatReference);
  const double first = BleuScore(counts);
  counts.Add(CountBleu(kRain, kRainReference));
  EXPECT_THAT(counts.matches, ElementsAre(9, 5, 2, 1));
  EXPECT_THAT(counts.total, ElementsAre(13, 11, 9, 7));
  EXPECT_EQ(counts.candidate_length, 13);
  EXPECT_EQ(counts.reference_length, 11);
  EXPECT_NEAR(BleuScore(counts), 31.614875844889426, 1e-12);
  const double second = BleuScore(CountBleu(kRain, kRainReference));
  EXPECT_NEAR(second, 17.965205598154213, 1e-12);
  EXPECT_NEAR((first + second) / 2, 33.43, 5e-3);
}

TEST(Bleu, WithoutAFourGramOrAMatchIsZero) {
  EXPECT_EQ(BleuScore(CountBleu("a b", "a b")), 0);
  EXPECT_EQ(BleuScore(CountBleu("a b c d e", "v w x y z")), 0);
  EXPECT_EQ(BleuScore(CountBleu("", "a b c d")), 0);
  EXPECT_NEAR(BleuScore(CountBleu("a b c d", "a b c d")), 100, 1e-12);
  EXPECT_NEAR(BleuScore(CountBleu("a b c d", "a b c d e f")), 100 * std::exp(1 - 6.0 / 4), 1e-12);
}

TEST(Tokenise13a, PunctuationNumbersAndEntities) {
  EXPECT_THAT(Tokenise13a("It's 3.5% (or 1,000)."),
              ElementsAre("It's", "3.5", "%", "(", "or", "1,000", ")", "."));
  EXPECT_THAT(Tokenise13a("1-2 a-b 5. .5 x,y"),
              ElementsAre("1", "-", "2", "a-b", "5", ".", ".", "5", "x", ",", "y"));
  EXPECT_THAT(Tokenise13a("a &amp;lt; b&quot;<skipped> co-\nop\n"),
              ElementsAre("a", "<", "b", "\"", "coop"));
  EXPECT_THAT(Tokenise13a("caf\u00e9, \u00fcber.\u00a0na\u00efve\u3000x"),
              ElementsAre("caf\u00e9", ",", "\u00fcber", ".", "na\u00efve", "x"));
  EXPECT_THAT(Tokenise13a("..."), ElementsAre(".", ".", "."));
  EXPECT_THAT(Tokenise13a(" \n"), IsEmpty());
}

TEST(TokenMatch, AnInsertionShiftsEverythingTheEditDistanceDoesNotMind) {
  const Ids a = {1, 2, 3, 4}, b = {9, 1, 2, 3, 4};
  EXPECT_EQ(TokenMatch(a, b), 0);
  EXPECT_EQ(NormalisedEditDistance(a, b), 0.2);
  EXPECT_EQ(TokenMatch(a, {1, 2, 3, 5, 5}), 0.6);
  EXPECT_EQ(TokenMatch({}, {}), 1);
  EXPECT_EQ(NormalisedEditDistance({}, {}), 0);
  EXPECT_EQ(NormalisedEditDistance({}, a), 1);
  EXPECT_EQ(NormalisedEditDistance({1, 2, 3}, {3, 2, 1}), 2.0 / 3);
}

TEST(RepeatedShare, OfALoop) {
  Ids loop(100, 7);
  EXPECT_NEAR(RepeatedShare(loop, 8), 92.0 / 93, 1e-15);
  for (int i = 0; i < 100; ++i) loop[i] = i;
  EXPECT_EQ(RepeatedShare(loop, 8), 0);
  EXPECT_EQ(RepeatedShare({1, 2}, 8), 0);
}

TEST(StrangeShare, ControlUnassignedAndInvalid) {
  EXPECT_EQ(StrangeShare("plain \u00e9\u4e2d\U0001f600\t\r\n"), 0);
  EXPECT_EQ(StrangeShare("a\ufffd"), 0.5);
  EXPECT_EQ(StrangeShare("a\x01"), 0.5);
  EXPECT_EQ(StrangeShare("a\u0378"), 0.5);  // unassigned
  EXPECT_EQ(StrangeShare("a\xff"), 0.5);
  EXPECT_EQ(StrangeShare(""), 0);
}

TEST(NextCharacter, RefusesWhatIsNoUtf8) {
  EXPECT_EQ(CountCharacters("a\u00e9\u4e2d\U0001f600"), 4);
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb8", "\x80"}) {
    std::string_view text = bad;
    EXPECT_EQ(NextCharacter(text), kInvalidUtf8) << bad;
    EXPECT_EQ(text.size(), std::string_view(bad).size() - 1);
  }
}

TEST(ExcessNll, IsADifferenceOfMeans) {
  EXPECT_EQ(ExcessNll({4, 6}, {1, 2, 3}), 3);
  EXPECT_TRUE(std::isnan(ExcessNll({}, {1})));
}

TEST(GarbledReasons, ALowMatchAloneIsNone) {
  Ids reference, other;
  for (int i = 0; i < 50; ++i) reference.push_back(i), other.push_back(100 + i);
  const GeneratedText ours{reference, "fine"};
  EXPECT_THAT(GarbledReasons(ours, {other, "other"}, 1), IsEmpty());
  EXPECT_THAT(GarbledReasons(ours, {other, "other"}, std::nan("")), IsEmpty());
  EXPECT_THAT(GarbledReasons(ours, {other, "other"}, 3), ElementsAre(HasSubstr("NLL")));
  EXPECT_THAT(GarbledReasons(ours, {other, "\x01\x02"}, 0), ElementsAre(HasSubstr("control")));
  const Ids loop(50, 5);
  EXPECT_THAT(GarbledReasons(ours, {loop, "x"}, 0), ElementsAre(HasSubstr("repeated")));
  EXPECT_THAT(GarbledReasons({Ids(50, 4), "x"}, {loop, "x"}, 0),
              IsEmpty());  // so does the reference
  EXPECT_THAT(GarbledReasons(ours, {{}, ""}, 0), ElementsAre(HasSubstr("empty")));
  EXPECT_THAT(GarbledReasons({Ids{1, 2}, "x"}, {{}, ""}, 0), IsEmpty());
  EXPECT_THAT(GarbledReasons(ours, {reference, "\x01\x02"}, 9), IsEmpty());
}

}  // namespace
}  // namespace crosscheck::quality
