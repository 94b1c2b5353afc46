#include "reference/tensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace crosscheck {
namespace {

TEST(TensorTest, EveryHalfRoundsBackToItself) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float half = DecodeF16(static_cast<uint16_t>(bits));
    const float brain = DecodeBF16(static_cast<uint16_t>(bits));
    if (!std::isnan(half)) {
      EXPECT_EQ(EncodeF16(half), bits);
    }
    if (!std::isnan(brain)) {
      EXPECT_EQ(EncodeBF16(brain), bits);
    }
  }
}

TEST(TensorTest, HalvesHaveTheirTextbookValues) {
  EXPECT_EQ(DecodeF16(0x3C00), 1.0F);
  EXPECT_EQ(DecodeF16(0xC000), -2.0F);
  EXPECT_EQ(DecodeF16(0x7BFF), 65504.0F);
  EXPECT_EQ(DecodeF16(0x0001), std::ldexp(1.0F, -24));
  EXPECT_EQ(DecodeF16(0x03FF), std::ldexp(1023.0F, -24));
  EXPECT_EQ(DecodeF16(0x7C00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(DecodeBF16(0x3F80), 1.0F);
  EXPECT_EQ(DecodeBF16(0x0001), std::ldexp(1.0F, -133));
}

TEST(TensorTest, RoundsToNearestEven) {
  EXPECT_EQ(EncodeBF16(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // tie, down to even
  EXPECT_EQ(EncodeBF16(std::bit_cast<float>(0x3F818000U)), 0x3F82);  // tie, up to even
  EXPECT_EQ(EncodeBF16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(EncodeBF16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(EncodeF16(1.0F + std::ldexp(1.0F, -11)), 0x3C00);
  EXPECT_EQ(EncodeF16(1.0F + std::ldexp(3.0F, -11)), 0x3C02);
  EXPECT_EQ(EncodeF16(std::ldexp(1.0F, -25)), 0x0000);  // tie between 0 and the least subnormal
  EXPECT_EQ(EncodeF16(std::ldexp(3.0F, -25)), 0x0002);
  EXPECT_EQ(EncodeF16(65519.0F), 0x7BFF);
  EXPECT_EQ(EncodeF16(65520.0F), 0x7C00);
}

// The nearest half by search over all of them, ties to the even pattern.
uint16_t NearestHalfBySearch(float value) {
  uint16_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (uint16_t bits = 0; bits < 0x7C00; ++bits) {
    const double distance = std::abs(double{DecodeF16(bits)} - value);
    if (distance < least || (distance == least && bits % 2 == 0)) {
      best = bits;
      least = distance;
    }
  }
  return best;
}

TEST(TensorTest, HalfRoundingAgreesWithASearchOverAllHalves) {
  uint32_t state = 12345;
  for (int i = 0; i < 60; ++i) {
    state = state * 1664525U + 1013904223U;
    const int exponent = static_cast<int>(state >> 8) % 42 - 27;
    const float value = std::ldexp(1.0F + static_cast<float>(state >> 9) / (1 << 23), exponent);
    if (value < 65504.0F) {
      EXPECT_EQ(EncodeF16(value), NearestHalfBySearch(value)) << value;
    }
  }
}

TEST(TensorTest, NaNStaysNaN) {
  EXPECT_TRUE(std::isnan(DecodeBF16(EncodeBF16(std::bit_cast<float>(0x7F800001U)))));
  EXPECT_TRUE(std::isnan(DecodeF16(EncodeF16(std::bit_cast<float>(0xFF800001U)))));
}

TEST(TensorTest, WidensFloatsAndRefusesIntegers) {
  const float floats[] = {1.5F, -0.1F};
  const auto wide = MakeTensor("x", {2}, absl::MakeConstSpan(floats)).ToDoubles();
  ASSERT_TRUE(wide.ok());
  EXPECT_EQ((*wide)[1], double{-0.1F});
  const int32_t ids[] = {1};
  const auto refused = MakeTensor("ids", {1}, absl::MakeConstSpan(ids)).ToDoubles();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("ids has dtype I32"), std::string::npos);
}

}  // namespace
}  // namespace crosscheck
