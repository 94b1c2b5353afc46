#include "engines/head_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

namespace crosscheck {
namespace {

using nlohmann::json;

// The same JSON value with the same kinds of numbers, or none from both.
void ExpectLikeTheOtherParser(const std::string& text) {
  const json expected = json::parse(text, nullptr, false);
  const json parsed = ParseHeadJson(text);
  ASSERT_EQ(parsed.is_discarded(), expected.is_discarded()) << text;
  if (expected.is_discarded()) return;
  EXPECT_EQ(parsed.dump(-1, ' ', true), expected.dump(-1, ' ', true)) << text;
  EXPECT_EQ(parsed.type(), expected.type()) << text;
}

TEST(HeadJsonTest, ReadsWhatTheOtherParserReads) {
  for (const char* text :
       {R"({"id":7,"ok":true,"positions":[[0,1,2],[]],"counters":{"prompt":1},"none":null})",
        R"({"a":1,"a":2})",
        "{}",
        "[]",
        "0",
        "7",
        "-7",
        "1.5e-3",
        "1.0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "0.1",
        "1e-320",
        "4.9e-324",
        "1.7976931348623157e308",
        R"("\u00e9\n\"\\")",
        "\"\xc3\xa9\"",
        "\xEF\xBB\xBF{}"}) {
    ExpectLikeTheOtherParser(text);
  }
}

TEST(HeadJsonTest, RefusesWhatIsNoJson) {
  for (const char* text :
       {"", "{", "{\"a\"}", "[1,]", "01", "+1", "NaN", "1e999", "\"\xff\"", "{}{}", "tru", "\"\t\"",
        "'a'", "{\"a\":1,}", "\"\\ud800\"", "// no\n{}"}) {
    EXPECT_TRUE(ParseHeadJson(text).is_discarded()) << text;
  }
}

TEST(HeadJsonTest, MutatedHeadsAreReadAlike) {
  const std::string head =
      R"({"id":12,"ok":true,"seconds":1.25e-4,"positions":[[0,1],[5]],"stop":"eos","s":[-3,0.5,"x"]})";
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same inputs in every run
  const std::string bytes = "{}[],:\"0123456789.-+eE tfn\\u\n";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = head;
    for (uint32_t edits = random() % 3 + 1; edits > 0; --edits) {
      const size_t at = random() % text.size();
      const char byte = bytes[random() % bytes.size()];
      if (random() % 3 == 0) {
        text.erase(at, 1);
      } else if (random() % 2 == 0) {
        text.insert(at, 1, byte);
      } else {
        text[at] = byte;
      }
    }
    ExpectLikeTheOtherParser(text);
  }
}

TEST(HeadJsonTest, TheBuffersOfALongHeadServeAShortOne) {
  json ids = json::array();
  for (int i = 0; i < 100'000; ++i) ids.push_back(i);
  EXPECT_EQ(ParseHeadJson(ids.dump()), ids);
  EXPECT_EQ(ParseHeadJson("[1]"), json::array({1}));
}

}  // namespace
}  // namespace crosscheck
