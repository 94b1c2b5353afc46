#include "engines/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engines/engine.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

Message Example() {
  Message message;
  message.head = {{"id", 7}, {"op", "logits"}, {"text", "quote \" and \xc3\xa9"}};
  message.tensors = {MakeTensor("a", {2, 1}, std::vector<float>{1.5f, -2.0f}),
                     MakeTensor("empty", {0}, absl::Span<const double>())};
  return message;
}

std::string FrameOf(const std::string& head) {
  std::string frame = "XCK1";
  const auto size = static_cast<uint32_t>(head.size());
  frame.append(reinterpret_cast<const char*>(&size), 4).append(8, '\0').append(head);
  return frame;
}

TEST(MessageTest, SurvivesTheRoundTripThroughAFrame) {
  const Message message = Example();
  const auto same = DecodeFrame(EncodeFrame(message));
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->head, message.head);
  ASSERT_EQ(same->tensors.size(), 2u);
  EXPECT_EQ(same->Find("a")->bytes, message.tensors[0].bytes);
  EXPECT_EQ(same->Find("a")->shape, message.tensors[0].shape);
  EXPECT_EQ(same->Find("empty")->dtype, DType::kF64);
  EXPECT_EQ(same->Find("b"), nullptr);
}

TEST(MessageTest, WritesTheIdInFrontWithoutACopyOfTheHead) {
  Message message = Example();
  EXPECT_EQ(DecodeFrame(EncodeFrame(message, 12))->head["id"], 12);
  message.head.erase("id");
  EXPECT_EQ(DecodeFrame(EncodeFrame(message, 12))->head["id"], 12);
  EXPECT_EQ(DecodeFrame(EncodeFrame(message, 12))->head["op"], "logits");
  EXPECT_EQ(DecodeFrame(EncodeFrame(Message(), 3))->head, Json({{"id", 3}}));
}

TEST(MessageTest, RefusesEveryTruncationAndEveryExtension) {
  const std::string frame = EncodeFrame(Example());
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_FALSE(DecodeFrame(frame.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeFrame(frame + '\0').ok());
}

TEST(MessageTest, SurvivesEveryChangedByte) {
  const std::string frame = EncodeFrame(Example());
  for (size_t at = 0; at < frame.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string changed = frame;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const auto message = DecodeFrame(changed);
      if (!message.ok()) EXPECT_FALSE(message.status().message().empty());
    }
  }
}

TEST(MessageTest, RefusesSizesBeyondTheLimitsBeforeItLooksForTheBytes) {
  std::string frame = EncodeFrame(Example());
  const uint32_t head = kMaxHeadBytes + 1;
  std::memcpy(frame.data() + 4, &head, 4);
  EXPECT_THAT(std::string(DecodeFrameHeader(frame).status().message()),
              HasSubstr("frame head of 16777217 bytes"));
  frame = EncodeFrame(Example());
  const uint64_t payload = ~uint64_t{0};
  std::memcpy(frame.data() + 8, &payload, 8);
  EXPECT_THAT(std::string(DecodeFrameHeader(frame).status().message()),
              HasSubstr("frame payload of"));
}

TEST(MessageTest, RefusesHeadsThatAreNoObjectAndHeadsThatNestTooDeep) {
  for (const char* head : {"[]", "7", "", "{", "{\"a\":}", "\xff\xfe"}) {
    EXPECT_FALSE(DecodeFrame(FrameOf(head)).ok()) << head;
  }
  const std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_THAT(std::string(DecodeFrame(FrameOf(deep)).status().message()),
              HasSubstr("nests deeper"));
  EXPECT_TRUE(DecodeFrame(FrameOf("{\"a\":\"" + std::string(1000, '[') + "\\\"[\"}")).ok());
}

TEST(AnswerTest, TurnsEachErrorCodeIntoItsFailureAndBack) {
  for (const FailureKind kind :
       {FailureKind::kBadRequest, FailureKind::kUnsupported, FailureKind::kRefused,
        FailureKind::kOutOfMemory, FailureKind::kInternal}) {
    const auto answer =
        DecodeFrame(EncodeAnswer(FailedReply(kind, "what happened", "SomeError"), 9));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->head["id"], 9);
    const Reply reply = ToReply(*answer);
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.failure->kind, kind);
    EXPECT_EQ(reply.failure->message, "what happened");
    EXPECT_EQ(reply.failure->type, "SomeError");
  }
}

TEST(AnswerTest, CallsAnAnswerWithoutOkALie) {
  Message answer;
  answer.head = {{"id", 1}};
  const Reply reply = ToReply(answer);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.failure->kind, FailureKind::kProtocol);
}

}  // namespace
}  // namespace crosscheck
