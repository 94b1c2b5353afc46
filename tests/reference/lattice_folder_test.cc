// Folders of lattice's Q4 and QuaRot converters: what they mean, and what is wrong with hostile
// ones.
#include "reference/quantisation/lattice_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/quantisation/quantised_folder.h"
#include "reference/quantisation/quarot.h"
#include "reference/quantisation/tensor_format.h"
#include "reference/safetensors.h"
#include "tests/reference/quantised_folder_helpers.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct LatticeOptions {
  Q4Mode mode = Q4Mode::kAsymmetric;
  std::optional<uint64_t> seed = {};
  bool object = false;
};

// A folder as lattice's converters write it: matrices in Q4, everything else in half precision.
std::string WriteLattice(const Model& model, const LatticeOptions& options) {
  const std::string folder = Folder();
  EXPECT_TRUE(WriteCheckpoint(model, folder).ok());
  std::filesystem::remove(folder + "/model.safetensors");
  json entries = json::array();
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    const bool quantised = info.shape.size() == 2;
    const std::string file = LatticeFileStem(info.name) + (quantised ? ".q4" : ".f16");
    const auto bytes = quantised ? EncodeQ4File(model.values[i], info.shape, options.mode)
                                 : EncodeKhf1File(model.values[i], info.shape);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_TRUE(WriteFile(folder + "/" + file, *bytes).ok());
    entries.push_back({{"name", info.name},
                       {"file", file},
                       {"quantized", quantised},
                       {"shape", info.shape},
                       {"numel", model.values[i].size()}});
  }
  json index = entries;
  if (options.object) index = {{"tensors", entries}};
  if (options.seed.has_value()) index["quarot_seed"] = *options.seed;
  EXPECT_TRUE(WriteFile(folder + "/" + kLatticeIndexFile, index.dump()).ok());
  return folder;
}

void ExpectLatticeValues(const Model& model, const Model& read, const char* format) {
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const bool matrix = model.tensors[i].shape.size() == 2;
    const auto columns = static_cast<size_t>(model.tensors[i].shape.back());
    const auto decoded = FindTensorFormat(matrix ? format : "f16")
                             ->decode({model.values[i], model.values[i].size() / columns, columns});
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(read.values[i], decoded->values) << model.tensors[i].name;
  }
}

TEST(LatticeFolderTest, AsymmetricWithoutRotation) {
  const Model model = SmallModel();
  const auto read = ReadQuantisedFolder(WriteLattice(model, {}));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectLatticeValues(model, read->model, "q4_asym");
  EXPECT_EQ(read->description.kind, "lattice q4");
  EXPECT_EQ(read->description.Text(),
            "embedding q4_asym, lm_head q4_asym, norms f16, other f16, projections q4_asym");
  EXPECT_THAT(read->description.findings, IsEmpty());
  EXPECT_NEAR(read->description.BitsPerWeight(), 5, 0.3);
}

TEST(LatticeFolderTest, SymmetricAfterARotation) {
  Model model = SmallModel(Family::kQwen35, 128);
  ASSERT_TRUE(FuseQuarot(42, model).ok());
  const auto read = ReadQuantisedFolder(
      WriteLattice(model, {.mode = Q4Mode::kSymmetric, .seed = 42, .object = true}));
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectLatticeValues(model, read->model, "q4_sym");
  EXPECT_EQ(read->description.kind, "lattice quarot");
  EXPECT_EQ(read->description.quarot_seed, 42);
  EXPECT_THAT(read->description.Text(), HasSubstr("rotated with seed 42"));
  EXPECT_THAT(read->description.findings, IsEmpty());
}

// Subnormal halves: the encoder rounds scale and bias by themselves.
TEST(LatticeFolderTest, TinySymmetricBlocksAreSymmetric) {
  std::vector<float> values(3200);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 37) * static_cast<float>(1 + i / 32) * 1e-7F;
  }
  const auto bytes = EncodeQ4File(values, {100, 32}, Q4Mode::kSymmetric);
  const auto read = DecodeLatticeFile(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->blocks, 100);
  EXPECT_EQ(read->asymmetric_blocks, 0);
  const auto asymmetric = DecodeLatticeFile(*EncodeQ4File(values, {100, 32}, Q4Mode::kAsymmetric));
  EXPECT_GT(asymmetric->asymmetric_blocks, 90);
}

TEST(LatticeFolderTest, AsymmetricAfterARotationIsAFinding) {
  Model model = SmallModel(Family::kQwen35, 128);
  ASSERT_TRUE(FuseQuarot(42, model).ok());
  const auto read = ReadQuantisedFolder(WriteLattice(model, {.seed = 42, .object = true}));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->description.findings,
              ElementsAre(HasSubstr("asymmetric codes after a rotation")));
}

TEST(LatticeFolderTest, SeedsOfConfigurationAndIndex) {
  Model model = SmallModel(Family::kQwen35, 128);
  const std::string folder = WriteLattice(model, {.mode = Q4Mode::kSymmetric, .object = true});
  EXPECT_THAT(std::string(ReadQuantisedFolder(folder).status().message()),
              HasSubstr("without quarot_seed"));
  json config = json::parse(*ReadFile(folder + "/config.json"));
  config["quarot_rotation_seed"] = 5;
  ASSERT_TRUE(WriteFile(folder + "/config.json", config.dump()).ok());
  const auto read = ReadQuantisedFolder(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->description.quarot_seed, 5);
  json index = json::parse(*ReadFile(folder + "/" + kLatticeIndexFile));
  index["quarot_seed"] = 6;
  ASSERT_TRUE(WriteFile(folder + "/" + kLatticeIndexFile, index.dump()).ok());
  const auto both = ReadQuantisedFolder(folder);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->description.quarot_seed, 6);
  EXPECT_THAT(both->description.findings, Contains(HasSubstr("quarot_rotation_seed 5")));
}

// What the reader says when the index has changed.
std::string IndexError(const std::function<void(json&)>& change) {
  const std::string folder = WriteLattice(SmallModel(), {});
  json index = json::parse(*ReadFile(folder + "/" + kLatticeIndexFile));
  change(index);
  EXPECT_TRUE(WriteFile(folder + "/" + kLatticeIndexFile, index.dump()).ok());
  const auto read = ReadQuantisedFolder(folder);
  EXPECT_FALSE(read.ok());
  return std::string(read.status().message());
}

TEST(HostileLatticeFolderTest, IndexOfALatticeFolder) {
  for (const char* file : {"../../etc/passwd", "/etc/passwd", "a/b.q4", "..", ""}) {
    EXPECT_THAT(IndexError([&](json& index) { index[0]["file"] = file; }),
                HasSubstr("plain file name"));
  }
  EXPECT_THAT(IndexError([](json& index) { index[0]["file"] = "absent.q4"; }),
              HasSubstr("absent.q4"));
  EXPECT_THAT(IndexError([](json& index) { index[0].erase("file"); }), HasSubstr("\"file\""));
  EXPECT_THAT(IndexError([](json& index) { index[0]["shape"] = {-1}; }), HasSubstr("shape"));
  EXPECT_THAT(IndexError([](json& index) { index[0]["shape"] = {7, 161}; }),
              HasSubstr("the index says [7,161]"));
  EXPECT_THAT(IndexError([](json& index) { index[1] = index[0]; }), HasSubstr("occurs twice"));
  EXPECT_THAT(IndexError([](json& index) { index.erase(3); }), HasSubstr("is missing"));
  EXPECT_THAT(IndexError([](json& index) { index = 7; }), HasSubstr("expected a list"));
  EXPECT_THAT(IndexError([](json& index) { index = {{"tensors", index}, {"quarot_seed", -1}}; }),
              HasSubstr("quarot_seed is -1"));
  EXPECT_THAT(IndexError([](json& index) {
                index = {
                    {"tensors", index}, {"quarot_seed", 1}, {"artifact_version", "v1-online-r3r4"}};
              }),
              HasSubstr("rotations at run time"));
}

// Whatever stands in the files: an answer or an error.
TEST(HostileLatticeFolderTest, RandomBytes) {
  const std::string index =
      R"({"quarot_seed":1,"tensors":[{"name":"a","file":"a.q4","shape":[2,32],"numel":64}]})";
  const std::string file = *EncodeQ4File(std::vector<float>(64, 0.5F), {2, 32}, Q4Mode::kSymmetric);
  size_t taken = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    std::string text = index;
    std::string bytes = file;
    for (uint64_t change = 0; change < 1 + i % 3; ++change) {
      const uint64_t bits = MixBits(4 * i + change);
      text[bits % text.size()] = static_cast<char>((bits >> 16) & 0x7F);
      bytes[bits % 40] = static_cast<char>(bits >> 24);
    }
    taken += ParseLatticeIndex(text).ok() ? 1 : 0;
    taken += DecodeLatticeFile(bytes).ok() ? 1 : 0;
  }
  EXPECT_GT(taken, 1000u);
  EXPECT_LT(taken, 39000u);
}

TEST(HostileLatticeFolderTest, FilesOfALatticeFolder) {
  const std::vector<float> values(64, 0.5F);
  const std::string file = *EncodeQ4File(values, {2, 32}, Q4Mode::kAsymmetric);
  ASSERT_EQ(file.size(), 36 + 2 * kLatticeQ4BlockBytes);
  const auto error = [](const std::string& bytes) {
    const auto read = DecodeLatticeFile(bytes);
    EXPECT_FALSE(read.ok());
    return std::string(read.status().message());
  };
  for (size_t size = 0; size < file.size(); ++size) error(file.substr(0, size));
  EXPECT_THAT(error(file + "x"), HasSubstr("expected 40"));
  const auto with = [&](size_t at, std::string bytes) {
    return std::string(file).replace(at, bytes.size(), bytes);
  };
  EXPECT_THAT(error(with(0, "KHQ5")), HasSubstr("KHQ4"));
  EXPECT_THAT(error(with(4, "\x01")), HasSubstr("version 1"));
  EXPECT_THAT(error(with(8, "\xff")), HasSubstr("dimensions"));
  EXPECT_THAT(error(with(12, std::string(8, '\xff'))), HasSubstr("does not fit"));
  EXPECT_THAT(error(with(12, std::string(8, '\0'))), HasSubstr("extent 0"));
  EXPECT_THAT(error(with(28, "\x41")), HasSubstr("65 weights"));
  EXPECT_THAT(error(with(36, std::string(2, '\0'))), HasSubstr("block 0 has scale 0"));
  EXPECT_THAT(error(with(56, std::string("\0\x7e", 2))), HasSubstr("block 1"));
  EXPECT_THAT(error(with(58, std::string("\0\x7c", 2))), HasSubstr("bias inf"));
  // A negative scale is legal: codes count downwards.
  EXPECT_TRUE(DecodeLatticeFile(with(36, std::string("\0\xbc", 2))).ok());
  const std::string half = *EncodeKhf1File(values, {64});
  EXPECT_THAT(error(half.substr(0, half.size() - 1)), HasSubstr("truncated"));
  EXPECT_EQ(EncodeKhf1File({1e6F}, {1}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace crosscheck
