#include "reference/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "tests/own_folder.h"

namespace crosscheck {
namespace {

using testing::HasSubstr;

std::string File(const std::string& header, std::string_view data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data);
}

std::string ErrorOf(std::string_view bytes) {
  const auto decoded = DecodeSafetensors(bytes);
  return decoded.ok() ? "accepted" : std::string(decoded.status().message());
}

std::vector<Tensor> SomeTensors() {
  const float a[] = {1, 2, 3, 4, 5, 6};
  const int32_t b[] = {7};
  return {MakeTensor("weights", {2, 3}, absl::MakeConstSpan(a)),
          MakeTensor("none", {0, 4}, absl::Span<const double>()),
          MakeTensor("\"quoted\"\n\\name é", {1}, absl::MakeConstSpan(b)),
          MakeTensor("scalar", {}, absl::MakeConstSpan(a, 1))};
}

TEST(SafetensorsTest, RoundTripKeepsOrderNamesAndBytes) {
  const std::string encoded = EncodeSafetensors(SomeTensors());
  const auto decoded = DecodeSafetensors(encoded);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), 4);
  for (size_t i = 0; i < 4; ++i) {
    const Tensor expected = SomeTensors()[i];
    EXPECT_EQ((*decoded)[i].name, expected.name);
    EXPECT_EQ((*decoded)[i].dtype, expected.dtype);
    EXPECT_EQ((*decoded)[i].shape, expected.shape);
    EXPECT_EQ((*decoded)[i].bytes, expected.bytes);
  }
  EXPECT_EQ(EncodeSafetensors(*decoded), encoded);
}

TEST(SafetensorsTest, HeaderIsPaddedToEightBytes) {
  for (size_t count = 0; count <= 4; ++count) {
    std::vector<Tensor> tensors = SomeTensors();
    tensors.resize(count);
    uint64_t length = 1;
    std::memcpy(&length, EncodeSafetensors(tensors).data(), 8);
    EXPECT_EQ(length % 8, 0);
  }
}

TEST(SafetensorsTest, EveryTruncationIsAnError) {
  const std::string encoded = EncodeSafetensors(SomeTensors());
  for (size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_FALSE(DecodeSafetensors(encoded.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeSafetensors(encoded + "x").ok());
}

TEST(SafetensorsTest, NoSingleByteOfTheHeaderCrashesTheReader) {
  const std::string encoded = EncodeSafetensors(SomeTensors());
  for (size_t at = 0; at < encoded.size(); ++at) {
    for (const char byte : {'\0', '"', '{', ']', '9', '-', '\xFF'}) {
      std::string changed = encoded;
      changed[at] = byte;
      const auto decoded = DecodeSafetensors(changed);
      if (!decoded.ok()) continue;
      for (const Tensor& tensor : *decoded) {
        EXPECT_EQ(tensor.ElementCount() * SizeOf(tensor.dtype),
                  static_cast<int64_t>(tensor.bytes.size()));
      }
    }
  }
}

TEST(SafetensorsTest, ErrorsNameTheTensorAndWhatIsWrong) {
  EXPECT_THAT(ErrorOf("abc"), HasSubstr("3 bytes are too few"));
  EXPECT_THAT(ErrorOf(std::string(8, '\xFF')), HasSubstr("beyond the end"));
  EXPECT_THAT(ErrorOf(File("{\"a\":", "")), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(ErrorOf(File("{\"\xFF\":1}", "")), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(ErrorOf(File("[1]", "")), HasSubstr("expected a JSON object"));
  EXPECT_THAT(ErrorOf(File(R"({"a":3})", "")), HasSubstr("\"a\": its header entry"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}})", "x")),
              HasSubstr("dtype \"F8\" is not supported"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "x")),
              HasSubstr("shape holds -1"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", "x")),
              HasSubstr("shape holds 1.5"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0]}})", "x")),
              HasSubstr("data_offsets"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "x")),
              HasSubstr("outside the 1 bytes"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,0]}})", "x")),
              HasSubstr("outside"));
  EXPECT_THAT(ErrorOf(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}})", "x")),
              HasSubstr("shape does not fit its 1 bytes"));
}

TEST(SafetensorsTest, ExtentsThatOverflowTogetherAreAnError) {
  const std::string huge = R"({"a":{"dtype":"U8","shape":[4294967296,4294967296,4294967296],)";
  EXPECT_THAT(ErrorOf(File(huge + R"("data_offsets":[0,0]}})", "")), HasSubstr("does not fit"));
  const std::string zero = R"({"a":{"dtype":"F64","shape":[9223372036854775807,9,0],)";
  EXPECT_THAT(ErrorOf(File(zero + R"("data_offsets":[0,0]}})", "")), HasSubstr("does not fit"));
}

TEST(SafetensorsTest, GapsAndOverlapsAreErrors) {
  const std::string a = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)";
  EXPECT_THAT(ErrorOf(File(a + R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "xyz")),
              HasSubstr("\"b\": overlaps"));
  EXPECT_THAT(ErrorOf(File(a + R"("b":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}})", "xyzw")),
              HasSubstr("\"b\": leaves a gap"));
  EXPECT_THAT(ErrorOf(File(a + R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", "xyzw")),
              HasSubstr("cover 3 of 4 bytes"));
}

class FileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_); }

  const OwnFolder own_;
  const std::string folder_ = own_.path();
};

TEST_F(FileTest, BothModesReplaceAllOfTheContent) {
  const std::string path = folder_ + "/f";
  for (const WriteMode mode : {WriteMode::kAtomic, WriteMode::kOverwrite}) {
    ASSERT_TRUE(WriteFile(path, std::string(100000, 'x'), mode).ok());
    ASSERT_TRUE(WriteFile(path, "short", mode).ok());
    EXPECT_EQ(*ReadFile(path), "short");
  }
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644);
}

TEST_F(FileTest, AtomicWritesLeaveNothingElseBehind) {
  ASSERT_TRUE(WriteFile(folder_ + "/f", "x").ok());
  std::filesystem::create_directory(folder_ + "/folder");
  const absl::Status status = WriteFile(folder_ + "/folder", "x");
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_ + "/folder"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 2);
}

TEST_F(FileTest, MissingFilesAreNotFoundWithTheirPath) {
  const auto missing = ReadFile(folder_ + "/none");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("none: No such file"));
  EXPECT_FALSE(WriteFile(folder_ + "/none/f", "x").ok());
  EXPECT_FALSE(ReadFile(folder_).ok());
}

TEST_F(FileTest, FullDiskIsNamed) {
  const absl::Status status = WriteFile("/dev/full", "x", WriteMode::kOverwrite);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

}  // namespace
}  // namespace crosscheck
