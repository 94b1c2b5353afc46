// lattice's own quantisers (engines/lattice/converter): every file that they write is ours
// byte for byte, and the folder reads as what it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/lattice_folder.h"
#include "reference/quantisation/quantised_folder.h"
#include "reference/quantisation/quarot.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

constexpr uint64_t kSeed = 0xCAFEBABEDEADBEEF;

// crosscheck-lattice-converter beside this program or one folder up; "" when it was not built.
std::string FindConverter() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& folder : {self, self.parent_path()}) {
    if (std::filesystem::exists(folder / "crosscheck-lattice-converter", error)) {
      return (folder / "crosscheck-lattice-converter").string();
    }
  }
  return "";
}

absl::StatusOr<Model> Trained() { return ReadCheckpoint("seeds/checkpoints/tiny-qwen35"); }

// Untied, stored in float32, with outliers, and with matrices that end within a block.
absl::StatusOr<Model> Generated() {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 7;
  spec.hidden = 16;
  spec.intermediate = 5;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 4;
  spec.rotary_dim = 2;
  spec.linear_key_dim = 3;
  recipe.weights = {.seed = 11, .style = WeightStyle::kOutlierChannels};
  return GenerateModel(recipe);
}

using MakeModel = absl::StatusOr<Model> (*)();

class LatticeConverterTest : public testing::TestWithParam<MakeModel> {
 protected:
  void SetUp() override {
    const std::string converter = FindConverter();
    if (converter.empty()) {
      GTEST_SKIP() << "crosscheck-lattice-converter was not built: it needs cargo 1.93";
    }
    auto model = GetParam()();
    ASSERT_TRUE(model.ok()) << model.status();
    stored_ = *std::move(model);
    ASSERT_TRUE(WriteCheckpoint(stored_, folder_ + "/in").ok());
    const std::string command =
        absl::StrCat("'", converter, "' '", folder_, "/in' '", folder_, "/out' ", kSeed);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::string Written(const std::string& name) const {
    const auto bytes = ReadFile(absl::StrCat(folder_, "/out/", name));
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return bytes.ok() ? *bytes : "";
  }

  Model stored_;
  const OwnFolder own_;
  const std::string folder_ = own_.path();
};

TEST_P(LatticeConverterTest, AsymmetricFilesAreOursByteForByte) {
  size_t files = 0;
  for (size_t i = 0; i < stored_.tensors.size(); ++i) {
    const TensorInfo& info = stored_.tensors[i];
    if (info.shape.size() != 2) continue;
    ++files;
    const auto bytes = EncodeQ4File(stored_.values[i], info.shape, Q4Mode::kAsymmetric);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_TRUE(*bytes == Written(absl::StrCat("q4/", info.name, ".q4"))) << info.name;
  }
  EXPECT_GT(files, 15u);
}

TEST_P(LatticeConverterTest, RotatedFilesAreOursByteForByte) {
  Model rotated = stored_;
  ASSERT_TRUE(FuseQuarot(kSeed, rotated).ok());
  for (size_t i = 0; i < rotated.tensors.size(); ++i) {
    const TensorInfo& info = rotated.tensors[i];
    const bool matrix = info.shape.size() == 2;
    const auto bytes = matrix ? EncodeQ4File(rotated.values[i], info.shape, Q4Mode::kSymmetric)
                              : EncodeKhf1File(rotated.values[i], info.shape);
    ASSERT_TRUE(bytes.ok()) << info.name << ": " << bytes.status();
    const std::string file = LatticeFileStem(info.name) + (matrix ? ".q4" : ".f16");
    EXPECT_TRUE(*bytes == Written("quarot/" + file)) << file;
  }
}

TEST_P(LatticeConverterTest, ItsFolderIsReadAsTheDecodedModel) {
  const auto read = ReadQuantisedFolder(folder_ + "/out/quarot");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->description.quarot_seed, kSeed);
  EXPECT_THAT(read->description.findings, testing::IsEmpty());
  EXPECT_EQ(read->description.Text(),
            absl::StrCat("embedding q4_sym, lm_head q4_sym, norms f16, other f16, projections "
                         "q4_sym, rotated with seed ",
                         kSeed));
  Model expected = stored_;
  const auto formats =
      ParseModelFormats(absl::StrCat("q4_sym:head=q4_sym:embedding=q4_sym:quarot=", kSeed).c_str());
  ASSERT_TRUE(DecodeAs(*formats, expected).ok());
  ASSERT_EQ(read->model.tensors.size(), expected.tensors.size());
  for (size_t i = 0; i < expected.tensors.size(); ++i) {
    if (expected.tensors[i].shape.size() != 2) continue;
    EXPECT_TRUE(read->model.values[i] == expected.values[i]) << expected.tensors[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LatticeConverterTest, testing::Values(&Trained, &Generated),
                         [](const auto& info) {
                           return info.param == &Trained ? "Trained" : "Generated";
                         });

}  // namespace
}  // namespace crosscheck
