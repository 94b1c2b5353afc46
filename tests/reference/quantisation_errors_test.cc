// The error of every format on 1024 x 1024 weights (quality.md 5.3): normal, Laplace, normal with
// outlier columns, and those after a rotation. An error that is 5 % off has a wrong scale, rounding
// or packing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "reference/quantisation/quarot.h"
#include "reference/quantisation/tensor_format.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

constexpr size_t kSize = 1024;

// In (0, 1].
double Uniform(uint64_t key, uint64_t counter) {
  return (static_cast<double>(MixBits(key + counter) >> 11) + 1) * 0x1p-53;
}

std::vector<float> NormalWeights() {
  const uint64_t key = HashName("quantisation_errors_test normal");
  std::vector<float> values(kSize * kSize);
  for (size_t i = 0; i < values.size(); ++i) {  // Box and Muller 1958
    const double radius = std::sqrt(-2 * std::log(Uniform(key, 2 * i)));
    const double angle = 2 * std::numbers::pi * Uniform(key, 2 * i + 1);
    values[i] = static_cast<float>(radius * std::cos(angle));
  }
  return values;
}

std::vector<float> LaplaceWeights() {
  const uint64_t key = HashName("quantisation_errors_test laplace");
  std::vector<float> values(kSize * kSize);
  for (size_t i = 0; i < values.size(); ++i) {
    const double magnitude = -std::log(Uniform(key, 2 * i));
    values[i] = static_cast<float>(Uniform(key, 2 * i + 1) < 0.5 ? -magnitude : magnitude);
  }
  return values;
}

// Eight columns forty times as large.
std::vector<float> OutlierWeights() {
  std::vector<float> values = NormalWeights();
  const uint64_t key = HashName("quantisation_errors_test columns");
  for (uint64_t i = 0; i < 8; ++i) {
    const size_t column = MixBits(key + i) % kSize;
    for (size_t at = column; at < values.size(); at += kSize) values[at] *= 40;
  }
  return values;
}

std::vector<float> Rotated(const std::vector<float>& weights) {
  const auto rotation = RandomizedHadamard::Create(42, kSize);
  std::vector<float> rotated(weights.size());
  std::vector<double> row(kSize);
  for (size_t at = 0; at < weights.size(); at += kSize) {
    std::copy_n(weights.begin() + static_cast<int64_t>(at), kSize, row.begin());
    rotation->Apply(absl::MakeSpan(row));
    std::copy(row.begin(), row.end(), rotated.begin() + static_cast<int64_t>(at));
  }
  return rotated;
}

double Error(std::string_view name, const std::vector<float>& weights) {
  const TensorFormat* format = FindTensorFormat(name);
  const auto decoded = format->decode({weights, kSize, kSize});
  EXPECT_TRUE(decoded.ok()) << name << ": " << decoded.status();
  RelativeError error;
  if (decoded.ok()) error.Add(weights, decoded->values);
  return error.Value();
}

void ExpectErrors(const std::vector<float>& weights, const std::map<std::string, double>& expected,
                  double relative) {
  for (const auto& [name, error] : expected) {
    EXPECT_NEAR(Error(name, weights) / error, 1, relative)
        << name << " has " << Error(name, weights) << ", expected " << error;
  }
}

TEST(FormatErrorTest, NormalWeightsHaveTheErrorOfTheTable) {
  const std::vector<float> weights = NormalWeights();
  for (const TensorFormat& format : TensorFormats()) {
    const double error = Error(format.name, weights);
    EXPECT_LE(std::abs(error - format.normal_error), 0.03 * format.normal_error)
        << format.name << " has " << error << ", expected " << format.normal_error;
  }
}

TEST(FormatErrorTest, LaplaceWeights) {
  ExpectErrors(LaplaceWeights(),
               {{"f16", 2.1e-4},      {"bf16", 1.66e-3},       {"int8_row", .0121},
                {"q8_0", .0068},      {"q8_0_lattice", .0068}, {"fp8_tensor", .0265},
                {"fp8_row", .0265},   {"fp8_block", .0265},    {"fp8_block_ue8m0", .0265},
                {"q4_sym", .1215},    {"q4_asym", .0918},      {"q4_1", .0918},
                {"q4_0", .1071},      {"int4_g64", .1412},     {"int4_g128", .1606},
                {"mxfp4", .127},      {"mxfp4_rceil", .132},   {"mxfp4_even", .124},
                {"mxfp4_ceil", .170}, {"nvfp4", .0927}},
               0.03);
}

// How much depends on which columns share a block.
TEST(FormatErrorTest, OutlierColumnsAndTheirRotation) {
  const std::vector<float> weights = OutlierWeights();
  ExpectErrors(weights,
               {{"int8_row", .0458},
                {"q8_0", .0122},
                {"fp8_row", .0204},
                {"q4_sym", .1122},
                {"q4_asym", .1176},
                {"q4_0", .1080},
                {"int4_g128", .2042},
                {"mxfp4", .1596},
                {"nvfp4", .0729}},
               0.25);
  ExpectErrors(Rotated(weights),
               {{"int8_row", .0062},
                {"q8_0", .0048},
                {"fp8_row", .0267},
                {"q4_sym", .0872},
                {"q4_asym", .0731},
                {"q4_0", .0778},
                {"int4_g128", .0980},
                {"mxfp4", .1129},
                {"nvfp4", .0975}},
               0.25);
}

// The orders with a cause. Asymmetric stays ahead of symmetric after a rotation too.
TEST(FormatErrorTest, Orders) {
  const std::vector<float> normal = NormalWeights();
  const std::vector<std::string_view> order = {"f32",  "f16",        "bf16",
                                               "q8_0", "fp8_tensor", "q4_asym"};
  for (size_t i = 1; i < order.size(); ++i) {
    EXPECT_LT(Error(order[i - 1], normal), Error(order[i], normal)) << order[i];
  }
  const std::vector<float> outliers = OutlierWeights();
  const std::vector<float> rotated = Rotated(outliers);
  EXPECT_LT(Error("q4_sym", rotated), Error("q4_sym", outliers));
  EXPECT_LT(Error("q4_asym", rotated), Error("q4_sym", rotated));
  EXPECT_GT(Error("nvfp4", rotated), Error("nvfp4", outliers));  // a rotation does not always help
  // On normal weights it does nothing.
  EXPECT_NEAR(Error("q4_sym", Rotated(normal)) / Error("q4_sym", normal), 1, 0.01);
}

// A KV cache with 8-bit codes has the law of int8_row for each (token, head), FP8 that of
// fp8_tensor: an outlier channel costs the other channels of an int8 cache their precision.
TEST(FormatErrorTest, KvCacheWithAnOutlierChannel) {
  const size_t width = 256;
  std::vector<float> cache = NormalWeights();
  const size_t rows = cache.size() / width;
  const auto error = [&](std::string_view name, bool skip_outlier) {
    const auto decoded = FindTensorFormat(name)->decode({cache, rows, width});
    RelativeError others;
    for (size_t at = 0; at < cache.size(); at += width) {
      others.Add(
          absl::MakeConstSpan(cache).subspan(at + (skip_outlier ? 1 : 0), width - 1),
          absl::MakeConstSpan(decoded->values).subspan(at + (skip_outlier ? 1 : 0), width - 1));
    }
    return others.Value();
  };
  EXPECT_NEAR(error("f16", false) / 2.1e-4, 1, 0.03);
  EXPECT_NEAR(error("int8_row", false) / .0069, 1, 0.03);
  EXPECT_NEAR(error("fp8_tensor", false) / .0265, 1, 0.03);
  for (size_t at = 0; at < cache.size(); at += width) cache[at] *= 50;
  EXPECT_NEAR(error("int8_row", true) / .113, 1, 0.25);
  EXPECT_NEAR(error("fp8_tensor", true) / .0265, 1, 0.05);
}

}  // namespace
}  // namespace crosscheck
