#include "quality/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "reference/safetensors.h"
#include "tests/own_folder.h"
#include "tests/quality/documented_writer.h"

namespace crosscheck::quality {
namespace {

const Json kManifest = {{"format", kDumpFormat}, {"mode", "full"}, {"tracks", {{"forced", 7}}}};

std::vector<Tensor> Numbers(int item, double value) {
  return {MakeTensor(TensorName("forced", item, "stat"), {1},
                     absl::MakeConstSpan(std::vector<double>{value}))};
}

std::string FileOf(const OwnFolder& folder, const std::string& name) {
  return *ReadFile(folder.path() + "/" + name);
}

TEST(DumpTest, WhatWasWrittenIsReadAgain) {
  const OwnFolder folder;
  auto writer = DumpWriter::Open(folder.path(), kManifest);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Write({"forced", 0, 1}, Numbers(0, 1.5)).ok());
  ASSERT_TRUE((*writer)->Write({"forced", 1, 2}, Numbers(1, 2.5)).ok());
  auto reader = DumpReader::Open(folder.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->Items("forced"), 2);
  EXPECT_EQ((*reader)->Items("text"), 0);
  const auto tensor = (*reader)->Read("forced", 1, "stat");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ((*tensor)->As<double>()[0], 2.5);
  EXPECT_TRUE(absl::IsNotFound((*reader)->Read("forced", 1, "logits").status()));
  EXPECT_TRUE(absl::IsNotFound((*reader)->Read("forced", 2, "stat").status()));
}

TEST(DumpTest, ARunThatGoesOnMakesTheBytesOfASingleOne) {
  const OwnFolder once, twice;
  for (const OwnFolder* folder : {&once, &twice}) {
    auto writer = DumpWriter::Open(folder->path(), kManifest);
    ASSERT_TRUE((*writer)->Write({"forced", 0, 1}, Numbers(0, 1)).ok());
    if (folder == &twice) {  // killed while it wrote the next line, and in the middle of a shard
      ASSERT_TRUE(
          WriteFile(folder->path() + "/shards/forced.000001-000001.safetensors.part", "x").ok());
      ASSERT_TRUE(WriteFile(folder->path() + "/done.jsonl",
                            FileOf(*folder, "done.jsonl") + "{\"track\": \"fo")
                      .ok());
      writer = DumpWriter::Open(folder->path(), kManifest);
      ASSERT_TRUE(writer.ok()) << writer.status();
      EXPECT_EQ((*writer)->resumed(), 1);
      EXPECT_TRUE((*writer)->Done({"forced", 0, 1}));
      EXPECT_FALSE(std::filesystem::exists(folder->path() +
                                           "/shards/forced.000001-000001.safetensors.part"));
    }
    ASSERT_TRUE((*writer)->Write({"forced", 1, 2}, Numbers(1, 2)).ok());
  }
  for (const char* name : {"manifest.json", "done.jsonl", "shards/forced.000000-000000.safetensors",
                           "shards/forced.000001-000001.safetensors"}) {
    EXPECT_EQ(FileOf(once, name), FileOf(twice, name)) << name;
  }
}

TEST(DumpTest, AShardOfOtherBytesIsWrittenAgainAndNeverRead) {
  const OwnFolder folder;
  ASSERT_TRUE(
      (*DumpWriter::Open(folder.path(), kManifest))->Write({"forced", 0, 1}, Numbers(0, 1)).ok());
  const std::string shard = folder.path() + "/shards/forced.000000-000000.safetensors";
  ASSERT_TRUE(WriteFile(shard, "torn").ok());
  auto reader = DumpReader::Open(folder.path());
  EXPECT_TRUE(absl::IsDataLoss((*reader)->Read("forced", 0, "stat").status()));
  EXPECT_FALSE((*DumpWriter::Open(folder.path(), kManifest))->Done({"forced", 0, 1}));
}

TEST(DumpTest, AnotherManifestIsRefusedByTheKeyThatDiffers) {
  const OwnFolder folder;
  ASSERT_TRUE(DumpWriter::Open(folder.path(), kManifest).ok());
  Json other = kManifest;
  other["tracks"]["forced"] = 8;
  const absl::Status refused = DumpWriter::Open(folder.path(), other).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("/tracks/forced: 7 and 8"));
}

TEST(DumpTest, WhatIsNoDumpSaysSo) {
  const OwnFolder folder;
  EXPECT_TRUE(absl::IsNotFound(DumpReader::Open(folder.path()).status()));
  std::filesystem::create_directories(folder.path());
  ASSERT_TRUE(WriteFile(folder.path() + "/manifest.json", "{\"format\": \"other/1\"}").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(DumpReader::Open(folder.path()).status()));
  ASSERT_TRUE(
      WriteFile(folder.path() + "/manifest.json", "{\"format\": \"crosscheck-dump/1\"}").ok());
  ASSERT_TRUE(WriteFile(folder.path() + "/done.jsonl", "{\"track\": 3}\n").ok());
  EXPECT_FALSE(DumpReader::Open(folder.path()).ok());
}

// The program in docs/dump_format.md writes what the reader reads.
TEST(DumpTest, TheDocumentedWriterWritesADump) {
  const OwnFolder folder;
  const DocumentedWriter writer(folder.path());
  if (!writer.ok()) GTEST_SKIP() << "no Python with NumPy; ci/setup installs python3-numpy";
  ASSERT_TRUE(WriteFile(folder.path() + "/manifest.json", kManifest.dump()).ok());
  ASSERT_TRUE(writer.Run(folder.path(),
                         "write_shard(folder, 'forced', 5, [{'stat': np.full((2, 10), i, "
                         "'float64'), 'logits': np.ones((2, 3), 'float32')} for i in range(2)])"));
  auto reader = DumpReader::Open(folder.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto stat = (*reader)->Read("forced", 6, "stat");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_THAT((*stat)->shape, testing::ElementsAre(2, 10));
  EXPECT_EQ((*stat)->As<double>()[0], 1);
  EXPECT_EQ((*reader)->Items("forced"), 7);
}

}  // namespace
}  // namespace crosscheck::quality
