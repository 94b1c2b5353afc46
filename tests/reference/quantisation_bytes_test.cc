// Weight formats byte for byte: the worked example of every layout, the grids, and values that
// formats have no room for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "reference/quantisation/e2m1.h"
#include "reference/quantisation/fp8_e4m3.h"
#include "reference/quantisation/ggml_q4_0.h"
#include "reference/quantisation/ggml_q4_1.h"
#include "reference/quantisation/ggml_q8_0.h"
#include "reference/quantisation/int4_groups.h"
#include "reference/quantisation/lattice_q4.h"
#include "reference/quantisation/mxfp4.h"
#include "reference/quantisation/nvfp4.h"
#include "reference/quantisation/tensor_format.h"

namespace crosscheck {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;

// -1.5, -1.375, … 2.375: the block of the worked examples.
std::vector<float> Ramp() {
  std::vector<float> values(32);
  for (int i = 0; i < 32; ++i) values[static_cast<size_t>(i)] = static_cast<float>(i - 12) / 8;
  return values;
}

std::string Hex(const std::string& spaced) {
  return absl::HexStringToBytes(absl::StrReplaceAll(spaced, {{" ", ""}}));
}

void ExpectBytes(const std::string& actual, const std::string& expected) {
  EXPECT_EQ(absl::BytesToHexString(actual), absl::BytesToHexString(Hex(expected)));
}

TEST(FormatBytesTest, GgmlQ80) {
  const auto bytes = EncodeGgmlQ80(Ramp(), 32);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ExpectBytes(*bytes,
              "ca 24 b0 b6 bd c4 cb d1 d8 df e5 ec f3 f9 00 07 0d 14 1b 21 28 2f 35 3c 43 4a 50 57 "
              "5e 64 6b 72 78 7f");
  EXPECT_FLOAT_EQ(DecodeGgmlQ80(*bytes)[31], 127 * 0x1.328p-6F);
}

TEST(FormatBytesTest, GgmlQ40) {
  const auto bytes = EncodeGgmlQ40(Ramp(), 32);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ExpectBytes(*bytes, "c0 b4 6d 6d 5c 5c 5b 4b 4b 3a 3a 39 29 28 18 18 07 07");
  EXPECT_EQ(DecodeGgmlQ40(*bytes)[31], 2.375F);
}

TEST(FormatBytesTest, GgmlQ41HoldsLatticesAsymmetricCodesInHalves) {
  const auto bytes = EncodeGgmlQ41(Ramp(), 32);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ExpectBytes(*bytes, "22 34 00 be 80 80 91 91 a2 a2 b3 b3 c4 c4 d5 d5 e6 e6 f7 f7");
}

TEST(FormatBytesTest, LatticeQ4Symmetric) {
  const auto bytes = EncodeLatticeQ4(Ramp(), Q4Mode::kSymmetric);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ExpectBytes(*bytes, "6e 35 6e c1 44 54 55 66 77 87 88 99 a9 ba bb cc dc ed ee ff");
  const std::vector<float> decoded = DecodeLatticeQ4(*bytes, 32);
  EXPECT_FLOAT_EQ(decoded[0], -1.35742188F);
  float largest = 0;
  for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(decoded[i] - Ramp()[i]));
  EXPECT_FLOAT_EQ(largest, 0.1611328F);
}

// Every second value lies halfway between two codes: to even they would be other codes.
TEST(FormatBytesTest, LatticeQ4AsymmetricRoundsHalvesAwayFromZero) {
  const auto bytes = EncodeLatticeQ4(Ramp(), Q4Mode::kAsymmetric);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ExpectBytes(*bytes, "22 34 00 be 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff");
  EXPECT_FLOAT_EQ(DecodeLatticeQ4(*bytes, 32)[31], 2.37451172F);
}

TEST(FormatBytesTest, Mxfp4InPairs) {
  const auto floor = EncodeMxfp4(Ramp(), 32, Mxfp4Scale::kFloor);
  ASSERT_TRUE(floor.ok()) << floor.status();
  ExpectBytes(floor->scales, "7e");
  ExpectBytes(floor->blocks, "dd cc cc ab aa 89 00 21 22 43 44 54 55 66 66 66");
  const auto ceil = EncodeMxfp4(Ramp(), 32, Mxfp4Scale::kCeil);
  ASSERT_TRUE(ceil.ok()) << ceil.status();
  ExpectBytes(ceil->scales, "7f");
  ExpectBytes(ceil->blocks, "bb aa aa 9a 99 88 00 10 11 22 22 32 33 44 44 44");
}

// The same codes in GGML's layout; GGML itself takes the smaller magnitude of two nearest, which is
// 0.5 instead of 1 for element 15, and 0 without a sign for element 11.
TEST(FormatBytesTest, Mxfp4InHalvesAsGgmlHasThem) {
  const auto even = EncodeGgmlMxfp4(Ramp(), 32, E2M1Ties::kEven);
  ASSERT_TRUE(even.ok()) << even.status();
  ExpectBytes(*even, "7e 2d 2d 3c 4c 4c 4c 4b 5a 5a 5a 69 68 60 60 61 62");
  const auto ggml = EncodeGgmlMxfp4(Ramp(), 32);
  ASSERT_TRUE(ggml.ok()) << ggml.status();
  ExpectBytes(*ggml, "7e 2d 2d 3c 3c 4c 4b 4b 5a 5a 59 59 60 60 60 61 61");
  EXPECT_EQ(DecodeGgmlMxfp4(*even)[15], 0.5F);
  EXPECT_EQ(DecodeGgmlMxfp4(*ggml)[15], 0.25F);
}

TEST(FormatBytesTest, Nvfp4) {
  const auto tensor = EncodeNvfp4(Ramp(), 32);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_FLOAT_EQ(tensor->global, 8.8355656e-4F);
  ExpectBytes(tensor->scales, "79 7e");
  ExpectBytes(tensor->codes, "ff ee de cd bc 9a 10 32 33 44 55 55 66 66 77 77");
}

TEST(FormatBytesTest, Fp8OfARow) {
  const auto matrix = EncodeFp8(Ramp(), 1, 32, {.block_rows = 1});
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_THAT(matrix->scales, ElementsAre(FloatEq(0.005301339F)));
  ExpectBytes(matrix->codes.substr(0, 8), "f9 f8 f7 f5 f4 f2 f1 ef");
}

TEST(FormatBytesTest, Int4GroupsOfAWorkedRow) {
  // Scale 2: 5 / 2 = 2.5 and -3 / 2 = -1.5 are ties, to even.
  const std::vector<float> row = {14, 5, -3, -14, 0, 1, 0.5, 0};
  const auto symmetric = EncodeInt4Groups(row, 8, 8, Int4Mode::kSymmetric);
  ASSERT_TRUE(symmetric.ok()) << symmetric.status();
  ExpectBytes(symmetric->scales, "00 40");
  ExpectBytes(symmetric->codes, "af 16 88 88");
  EXPECT_THAT(Decode(*symmetric), ElementsAre(14, 4, -4, -14, 0, 0, 0, 0));
  // Range -14 .. 16: scale 2, zero point 7.
  const auto asymmetric =
      EncodeInt4Groups({16, 5, -3, -14, 0, 1, 0.5, 0}, 8, 8, Int4Mode::kAsymmetric);
  ASSERT_TRUE(asymmetric.ok()) << asymmetric.status();
  EXPECT_THAT(asymmetric->zeros, ElementsAre(7));
  ExpectBytes(asymmetric->codes, "9f 05 77 77");
  EXPECT_THAT(Decode(*asymmetric), ElementsAre(16, 4, -4, -14, 0, 0, 0, 0));
}

TEST(GridTest, E4M3RoundsToNearestEven) {
  const auto rounded = [](float value) { return DecodeE4M3(EncodeE4M3(value)); };
  EXPECT_EQ(rounded(17), 16);
  EXPECT_EQ(rounded(19), 20);
  EXPECT_EQ(rounded(465), 448);
  EXPECT_EQ(rounded(-1e30F), -448);
  EXPECT_EQ(rounded(0x1p-10F), 0);
  EXPECT_EQ(rounded(1.5F * 0x1p-9F), 0x1p-8F);
  EXPECT_EQ(rounded(0x1p-149F), 0);
}

TEST(GridTest, EveryE4M3CodeIsItsOwnNearest) {
  EXPECT_EQ(DecodeE4M3(0x01), 0x1p-9F);
  EXPECT_EQ(DecodeE4M3(0x08), 0x1p-6F);
  EXPECT_EQ(DecodeE4M3(0x38), 1);
  EXPECT_EQ(DecodeE4M3(0x7E), 448);
  for (int code = 0; code < 256; ++code) {
    const float value = DecodeE4M3(static_cast<uint8_t>(code));
    EXPECT_EQ(std::isnan(value), (code & 0x7F) == 0x7F) << code;
    EXPECT_EQ(EncodeE4M3(value), code) << value;
  }
}

TEST(GridTest, E2M1RoundsToNearestEven) {
  const std::vector<std::pair<float, float>> rounded = {{.25F, 0},  {.75F, 1},  {1.25F, 1},
                                                        {1.75F, 2}, {2.5F, 2},  {3.5F, 4},
                                                        {5, 4},     {5.01F, 6}, {1e9F, 6}};
  for (const auto& [value, expected] : rounded) {
    EXPECT_EQ(DecodeE2M1(EncodeE2M1(value)), expected) << value;
    EXPECT_EQ(DecodeE2M1(EncodeE2M1(-value)), -expected) << value;
  }
  for (int code = 0; code < 16; ++code) EXPECT_EQ(EncodeE2M1(DecodeE2M1(code)), code);
}

TEST(GridTest, GgmlTakesTheSmallerMagnitudeOfTwoNearestE2M1) {
  for (const auto& [value, expected] : std::vector<std::pair<float, float>>{
           {.75F, .5F}, {1.75F, 1.5F}, {3.5F, 3}, {.25F, 0}, {5, 4}, {5.01F, 6}, {100, 6}}) {
    EXPECT_EQ(DecodeE2M1(EncodeE2M1(value, E2M1Ties::kSmaller)), expected) << value;
  }
}

TEST(Fp8Test, EdgeBlocksHaveScalesOfTheirOwn) {
  std::vector<float> values(3 * 5, 1.0F);
  values[2 * 5 + 4] = 448;  // the corner block, one element
  const Fp8Scope scope{.block_rows = 2, .block_columns = 4};
  const auto matrix = EncodeFp8(values, 3, 5, scope);
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_THAT(matrix->scales, ElementsAre(1.0F / 448, 1.0F / 448, 1.0F / 448, 1.0F));
  const auto decoded = DecodeFp8(matrix->codes, matrix->scales, 3, 5, scope);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, values);
  EXPECT_EQ(DecodeFp8(matrix->codes, {1, 2, 3}, 3, 5, scope).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(Fp8Test, PowersOfTwoAreRoundedUp) {
  const Fp8Scope scope{.power_of_two = true};
  EXPECT_THAT(EncodeFp8({449}, 1, 1, scope)->scales, ElementsAre(2));
  EXPECT_THAT(EncodeFp8({448}, 1, 1, scope)->scales, ElementsAre(1));
}

TEST(FormatTableTest, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const TensorFormat& format : TensorFormats()) {
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_EQ(FindTensorFormat(format.name), &format);
  }
  EXPECT_GE(names.size(), 20u);
  EXPECT_EQ(FindTensorFormat("q5_k"), nullptr);
}

TEST(FormatTableTest, BytesAreThoseOfTheBitsPerWeight) {
  const size_t size = 512;
  const std::vector<float> values(size * size, 0.25F);
  for (const TensorFormat& format : TensorFormats()) {
    const auto decoded = format.decode({values, size, size});
    ASSERT_TRUE(decoded.ok()) << format.name << ": " << decoded.status();
    // Scales for a row or a tensor count less the larger the matrix is.
    EXPECT_NEAR(8.0 * static_cast<double>(decoded->bytes) / (size * size), format.bits_per_weight,
                0.1)
        << format.name;
  }
}

TEST(SpecialValuesTest, ZerosStayZeros) {
  const std::vector<float> zeros(256, 0.0F);
  for (const TensorFormat& format : TensorFormats()) {
    const auto decoded = format.decode({zeros, 2, 128});
    ASSERT_TRUE(decoded.ok()) << format.name << ": " << decoded.status();
    EXPECT_THAT(decoded->values, Each(0.0F)) << format.name;
  }
}

// Their scales vanish in half precision or divide to infinity.
TEST(SpecialValuesTest, SubnormalWeightsBecomeSmall) {
  std::vector<float> values(256, 0.0F);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = std::ldexp(i % 3 == 0 ? -1.0F : 1.0F, -static_cast<int>(126 + i % 24));
  }
  for (const TensorFormat& format : TensorFormats()) {
    const auto decoded = format.decode({values, 2, 128});
    ASSERT_TRUE(decoded.ok()) << format.name << ": " << decoded.status();
    for (const float value : decoded->values) EXPECT_LE(std::abs(value), 0x1p-110F) << format.name;
  }
}

TEST(SpecialValuesTest, NaNAndInfinityAreErrors) {
  for (const float special :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(256, 1.0F);
    values[77] = special;
    for (const TensorFormat& format : TensorFormats()) {
      const auto decoded = format.decode({values, 2, 128});
      ASSERT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument) << format.name;
      EXPECT_THAT(std::string(decoded.status().message()), HasSubstr("value 77")) << format.name;
    }
  }
}

TEST(SpecialValuesTest, ScalesThatOverflowHalfPrecisionAreErrors) {
  std::vector<float> values(128, 0.0F);
  values[0] = 3e38F;
  const std::set<std::string_view> wide = {
      "f32",        "bf16",        "int8_row",        "q8_0_lattice", "fp8_tensor",
      "fp8_row",    "fp8_block",   "fp8_block_ue8m0", "mxfp4",        "mxfp4_ceil",
      "mxfp4_even", "mxfp4_rceil", "mxfp4_ggml",      "nvfp4"};
  for (const TensorFormat& format : TensorFormats()) {
    EXPECT_EQ(format.decode({values, 1, 128}).ok(), wide.contains(format.name)) << format.name;
  }
  // The range fits, the bias of lattice's symmetric Q4 does not: -8 * 65504 / 7.
  EXPECT_FALSE(EncodeLatticeQ4(std::vector<float>(32, 65504.0F), Q4Mode::kSymmetric).ok());
  EXPECT_TRUE(EncodeLatticeQ4(std::vector<float>(32, 65504.0F), Q4Mode::kAsymmetric).ok());
}

TEST(SpecialValuesTest, UnevenRowsAreErrorsOfTheFormatsWithBlocks) {
  const std::vector<float> values(3 * 40, 1.0F);
  const std::set<std::string_view> any = {"f32",        "f16",     "bf16",      "int8_row",
                                          "fp8_tensor", "fp8_row", "fp8_block", "fp8_block_ue8m0",
                                          "q4_sym",     "q4_asym"};
  for (const TensorFormat& format : TensorFormats()) {
    EXPECT_EQ(format.decode({values, 3, 40}).ok(), any.contains(format.name)) << format.name;
  }
}

// lattice before 0.5.0 let the padding widen the range of the last block.
TEST(LatticeQ4Test, ATailHasTheRangeOfItsOwnValues) {
  std::vector<float> values(40, 1.0F);
  for (size_t i = 32; i < 40; ++i) values[i] = 10 + static_cast<float>(i - 32) / 8;
  const auto bytes = EncodeLatticeQ4(values, Q4Mode::kAsymmetric);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  ASSERT_EQ(bytes->size(), 2 * kLatticeQ4BlockBytes);
  const std::vector<float> decoded = DecodeLatticeQ4(*bytes, 40);
  ASSERT_EQ(decoded.size(), 40u);
  for (size_t i = 32; i < 40; ++i) EXPECT_NEAR(decoded[i], values[i], 0.032);
  EXPECT_EQ(DecodeLatticeQ4(*bytes, 64).size(), 64u);
  EXPECT_EQ(DecodeLatticeQ4(bytes->substr(0, 30), 40).size(), 32u);
}

TEST(Mxfp4Test, ScaleOfNaNGivesNaN) {
  const auto decoded = DecodeMxfp4(std::string(16, '\x22'), "\xff");
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(std::isnan((*decoded)[0]));
  EXPECT_EQ(DecodeMxfp4(std::string(15, '\0'), "\x7f").status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeNvfp4(std::string(9, '\0'), "\x7e", 1).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(Mxfp4Test, TheFourScalesOfOneBlock) {
  const auto exponent = [](float largest, Mxfp4Scale scale) {
    std::vector<float> block(32, 0.0F);
    block[5] = largest;
    return static_cast<int>(static_cast<uint8_t>(EncodeMxfp4(block, 32, scale)->scales[0])) - 127;
  };
  EXPECT_EQ(exponent(8, Mxfp4Scale::kFloor), 1);
  EXPECT_EQ(exponent(8, Mxfp4Scale::kCeil), 1);
  EXPECT_EQ(exponent(8, Mxfp4Scale::kRceil), 1);
  EXPECT_EQ(exponent(6, Mxfp4Scale::kFloor), 0);
  EXPECT_EQ(exponent(6, Mxfp4Scale::kCeil), 1);
  EXPECT_EQ(exponent(6, Mxfp4Scale::kRceil), 0);
  EXPECT_EQ(exponent(6.99F, Mxfp4Scale::kEven), 0);
  EXPECT_EQ(exponent(7, Mxfp4Scale::kEven), 1);
  EXPECT_EQ(exponent(0, Mxfp4Scale::kRceil), -127);
  EXPECT_EQ(exponent(3e38F, Mxfp4Scale::kCeil), 126);
}

}  // namespace
}  // namespace crosscheck
