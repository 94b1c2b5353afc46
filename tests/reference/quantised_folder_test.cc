// Checkpoint folders that are quantised already: Hugging Face FP8, MXFP4 and NVFP4, lattice Q4 and
// QuaRot, what they mean, and what is wrong with hostile ones.
#include "reference/quantisation/quantised_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/fp8_e4m3.h"
#include "reference/quantisation/lattice_folder.h"
#include "reference/quantisation/mxfp4.h"
#include "reference/quantisation/nvfp4.h"
#include "reference/quantisation/quarot.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// 160 and 192 are no multiples of 128; the checkpoint is stored in bf16.
Model SmallModel(Family family = Family::kQwen35, int hidden = 160) {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.family = family;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = 7;
  spec.hidden = hidden;
  spec.intermediate = 192;
  spec.heads = spec.linear_value_heads = 2;
  spec.head_dim = spec.linear_value_dim = 16;
  spec.rotary_dim = 4;
  spec.linear_key_dim = 3;
  if (TraitsOf(family).mixture) {
    spec.experts = 3;
    spec.experts_per_token = 2;
    spec.shared_intermediate = 64;
  }
  recipe.weights = {.seed = 3, .storage = DType::kBF16};
  return GenerateModel(recipe);
}

std::string Folder() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = absl::StrCat(testing::TempDir(), "/quantised_", info->name());
  std::filesystem::remove_all(name);
  std::filesystem::create_directory(name);
  return name;
}

using Parts = std::vector<Tensor>;
using Quantise = std::function<Parts(const std::string& name, const TensorInfo& info,
                                     const std::vector<float>& values)>;

Tensor Bytes(std::string name, DType dtype, std::vector<int64_t> shape, std::string bytes) {
  return {std::move(name), dtype, std::move(shape), std::move(bytes)};
}

// The checkpoint of `model` with its projections in parts.
std::string WriteQuantised(const Model& model, const Quantise& quantise,
                           const json& configuration = {}) {
  const std::string folder = Folder();
  EXPECT_TRUE(WriteCheckpoint(model, folder).ok());
  const auto stored = DecodeSafetensors(*ReadFile(folder + "/model.safetensors"));
  Parts parts;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    Parts replaced;
    if (info.role == TensorRole::kProjection) replaced = quantise(info.name, info, model.values[i]);
    if (replaced.empty()) replaced = {(*stored)[i]};
    parts.insert(parts.end(), replaced.begin(), replaced.end());
  }
  EXPECT_TRUE(WriteFile(folder + "/model.safetensors", EncodeSafetensors(parts)).ok());
  json config = json::parse(*ReadFile(folder + "/config.json"));
  if (!configuration.is_null()) config["quantization_config"] = configuration;
  EXPECT_TRUE(WriteFile(folder + "/config.json", config.dump()).ok());
  return folder;
}

Model Decoded(Model model, const char* formats) {
  EXPECT_TRUE(DecodeAs(*ParseModelFormats(formats), model).ok());
  return model;
}

// The folder holds the values that `formats` makes of the model, and says so.
void ExpectValues(const std::string& folder, const Model& expected, std::string_view format) {
  const auto read = ReadQuantisedFolder(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->model.values, expected.values);
  EXPECT_EQ(read->description.kind, "quantised safetensors");
  EXPECT_THAT(read->description.findings, IsEmpty());
  bool found = false;
  for (const FormatUse& use : read->description.uses) {
    if (use.tensors != "projections") {
      EXPECT_THAT(use.format, testing::AnyOf("bf16", "f32")) << use.tensors;
      continue;
    }
    EXPECT_EQ(use.format, format);
    found = true;
  }
  EXPECT_TRUE(found);
}

Parts Fp8Parts(const std::string& name, const TensorInfo& info, const std::vector<float>& values,
               const Fp8Scope& scope, std::vector<int64_t> scale_shape, const char* suffix) {
  const auto rows = static_cast<size_t>(info.shape[0]);
  const auto columns = static_cast<size_t>(info.shape[1]);
  const auto matrix = EncodeFp8(values, rows, columns, scope);
  return {Bytes(name, DType::kF8E4M3, info.shape, matrix->codes),
          MakeTensor(name + suffix, std::move(scale_shape), absl::MakeConstSpan(matrix->scales))};
}

Parts Fp8Blocks(const std::string& name, const TensorInfo& info, const std::vector<float>& values) {
  return Fp8Parts(name, info, values, {128, 128},
                  {(info.shape[0] + 127) / 128, (info.shape[1] + 127) / 128}, "_scale_inv");
}

TEST(QuantisedFolderTest, Fp8BlocksWithPartialEdges) {
  const Model model = SmallModel();
  const std::string folder = WriteQuantised(model, Fp8Blocks, {{"quant_method", "fp8"}});
  ExpectValues(folder, Decoded(model, "fp8_block"), "fp8_block");
  // The plain reader says what it is and does not guess, with and without the configuration's word.
  EXPECT_THAT(std::string(ReadCheckpoint(folder).status().message()),
              HasSubstr("quantization_config"));
  const auto silent = ReadCheckpoint(WriteQuantised(model, Fp8Blocks));
  EXPECT_EQ(silent.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(silent.status().message()), HasSubstr("F8_E4M3"));
}

TEST(QuantisedFolderTest, Fp8BlocksOfTheSizeThatTheConfigurationSays) {
  const Model model = SmallModel();
  const std::string folder = WriteQuantised(
      model,
      [](const std::string& name, const TensorInfo& info, const std::vector<float>& values) {
        return Fp8Parts(name, info, values, {64, 32},
                        {(info.shape[0] + 63) / 64, (info.shape[1] + 31) / 32}, "_scale_inv");
      },
      {{"quant_method", "fp8"}, {"weight_block_size", {64, 32}}});
  const auto read = ReadQuantisedFolder(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  const auto matrix = EncodeFp8(model.Get("layers.1.mlp.up_proj.weight"), 192, 160, {64, 32});
  EXPECT_EQ(read->model.Get("layers.1.mlp.up_proj.weight"),
            absl::MakeConstSpan(*DecodeFp8(matrix->codes, matrix->scales, 192, 160, {64, 32})));
}

TEST(QuantisedFolderTest, Fp8RowsAndTensors) {
  const Model model = SmallModel();
  const auto rows = [](const std::string& name, const TensorInfo& info,
                       const std::vector<float>& values) {
    return Fp8Parts(name, info, values, {.block_rows = 1}, {info.shape[0], 1}, "_scale");
  };
  ExpectValues(WriteQuantised(model, rows), Decoded(model, "fp8_row"), "fp8_row");
  const auto tensors = [](const std::string& name, const TensorInfo& info,
                          const std::vector<float>& values) {
    return Fp8Parts(name, info, values, {}, {}, "_scale");
  };
  ExpectValues(WriteQuantised(model, tensors), Decoded(model, "fp8_tensor"), "fp8_tensor");
}

TEST(QuantisedFolderTest, Mxfp4BlocksAndPackedWeights) {
  const Model model = SmallModel();
  const auto blocks = [](const std::string& name, const TensorInfo& info,
                         const std::vector<float>& values) -> Parts {
    const int64_t groups = info.shape[1] / 32;
    const auto tensor = EncodeMxfp4(values, static_cast<size_t>(info.shape[1]), Mxfp4Scale::kFloor);
    const std::string stem = name.substr(0, name.rfind('.'));
    return {Bytes(stem + "_blocks", DType::kU8, {info.shape[0], groups, 16}, tensor->blocks),
            Bytes(stem + "_scales", DType::kU8, {info.shape[0], groups}, tensor->scales)};
  };
  ExpectValues(WriteQuantised(model, blocks), Decoded(model, "mxfp4"), "mxfp4");
  const auto packed = [](const std::string& name, const TensorInfo& info,
                         const std::vector<float>& values) -> Parts {
    const auto tensor = EncodeMxfp4(values, static_cast<size_t>(info.shape[1]), Mxfp4Scale::kFloor);
    return {
        Bytes(name + "_packed", DType::kU8, {info.shape[0], info.shape[1] / 2}, tensor->blocks),
        Bytes(name + "_scale", DType::kU8, {info.shape[0], info.shape[1] / 32}, tensor->scales)};
  };
  ExpectValues(WriteQuantised(model, packed), Decoded(model, "mxfp4"), "mxfp4");
}

Parts Nvfp4Parts(const std::string& name, const TensorInfo& info, const std::vector<float>& values,
                 const char* codes, const char* global, bool reciprocal) {
  const auto tensor = EncodeNvfp4(values, static_cast<size_t>(info.shape[1]));
  const float factor = reciprocal ? 1 / tensor->global : tensor->global;
  return {
      Bytes(name + codes, DType::kU8, {info.shape[0], info.shape[1] / 2}, tensor->codes),
      Bytes(name + "_scale", DType::kF8E4M3, {info.shape[0], info.shape[1] / 16}, tensor->scales),
      MakeTensor(name + global, {1}, absl::MakeConstSpan(&factor, 1))};
}

TEST(QuantisedFolderTest, Nvfp4WithTheTensorScaleThatMultiplies) {
  const Model model = SmallModel();
  const auto parts = [](const std::string& name, const TensorInfo& info,
                        const std::vector<float>& values) {
    return Nvfp4Parts(name, info, values, "", "_scale_2", false);
  };
  ExpectValues(WriteQuantised(model, parts), Decoded(model, "nvfp4"), "nvfp4");
}

TEST(QuantisedFolderTest, Nvfp4WithTheReciprocalOfTheTensorScale) {
  const Model model = SmallModel();
  const auto parts = [](const std::string& name, const TensorInfo& info,
                        const std::vector<float>& values) {
    return Nvfp4Parts(name, info, values, "_packed", "_global_scale", true);
  };
  const auto read = ReadQuantisedFolder(WriteQuantised(model, parts));
  ASSERT_TRUE(read.ok()) << read.status();
  const Model expected = Decoded(model, "nvfp4");
  for (size_t i = 0; i < expected.values.size(); ++i) {
    for (size_t j = 0; j < expected.values[i].size(); ++j) {
      ASSERT_FLOAT_EQ(read->model.values[i][j], expected.values[i][j]);
    }
  }
}

// Fused experts are one tensor in the file and matrices of their own in the format.
TEST(QuantisedFolderTest, ExpertsOfAMixture) {
  const Model model = SmallModel(Family::kQwen35Moe);
  const auto parts = [](const std::string& name, const TensorInfo& info,
                        const std::vector<float>& values) -> Parts {
    if (info.shape.size() == 2) return Fp8Blocks(name, info, values);
    std::vector<int64_t> shape = {info.shape[0], info.shape[1], info.shape[2] / 32, 16};
    const auto tensor = EncodeMxfp4(values, static_cast<size_t>(info.shape[2]), Mxfp4Scale::kFloor);
    Tensor blocks = Bytes(name + "_blocks", DType::kU8, shape, tensor->blocks);
    shape.pop_back();
    return {std::move(blocks), Bytes(name + "_scales", DType::kU8, shape, tensor->scales)};
  };
  const auto read = ReadQuantisedFolder(WriteQuantised(model, parts));
  ASSERT_TRUE(read.ok()) << read.status();
  const Model fp8 = Decoded(model, "fp8_block");
  const Model mxfp4 = Decoded(model, "mxfp4");
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const bool experts = absl::StrContains(model.tensors[i].name, "experts.");
    EXPECT_EQ(read->model.values[i], (experts ? mxfp4 : fp8).values[i]) << model.tensors[i].name;
  }
  EXPECT_THAT(read->description.Text(), HasSubstr("projections fp8_block, projections mxfp4"));
}

TEST(QuantisedFolderTest, APlainCheckpointIsReadAsItIs) {
  const Model model = SmallModel();
  const std::string folder = Folder();
  ASSERT_TRUE(WriteCheckpoint(model, folder).ok());
  const auto read = ReadQuantisedFolder(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->model.values, model.values);
  EXPECT_EQ(read->model.storage, DType::kBF16);
  EXPECT_EQ(read->description.kind, "plain");
  EXPECT_EQ(read->description.Text(),
            "embedding bf16, lm_head bf16, norms bf16, norms f32, other bf16, other f32, "
            "projections bf16");
  EXPECT_NEAR(read->description.BitsPerWeight(), 16, 0.1);
}

TEST(QuantisedFolderTest, AMethodThatIsNotReadIsNamed) {
  const Model model = SmallModel();
  const auto parts = [](const std::string& name, const TensorInfo&,
                        const std::vector<float>&) -> Parts {
    return {Bytes(name + "_q", DType::kI32, {1}, std::string(4, '\1'))};
  };
  const auto read = ReadQuantisedFolder(WriteQuantised(model, parts, {{"quant_method", "gptq"}}));
  EXPECT_EQ(read.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("gptq"));
}

// Replaces one tensor of a folder of FP8 blocks; what the reader says then.
std::string Fp8Error(const std::function<void(Tensor&)>& change, absl::StatusCode code) {
  bool changed = false;
  const auto parts = [&](const std::string& name, const TensorInfo& info,
                         const std::vector<float>& values) {
    Parts made = Fp8Blocks(name, info, values);
    if (absl::StrContains(name, "layers.1.mlp.up_proj")) {
      for (Tensor& tensor : made) change(tensor);
      changed = true;
    }
    return made;
  };
  const auto read = ReadQuantisedFolder(WriteQuantised(SmallModel(), parts));
  EXPECT_TRUE(changed);
  EXPECT_EQ(read.status().code(), code) << read.status();
  return std::string(read.status().message());
}

TEST(HostileFolderTest, ScalesThatDoNotFit) {
  const auto scales = [](const std::function<void(Tensor&)>& change) {
    return [change](Tensor& tensor) {
      if (absl::EndsWith(tensor.name, "_scale_inv")) change(tensor);
    };
  };
  EXPECT_THAT(Fp8Error(scales([](Tensor& t) {
                         t.shape = {3};
                         t.bytes.resize(12);
                       }),
                       absl::StatusCode::kDataLoss),
              testing::AllOf(HasSubstr("up_proj.weight_scale_inv"), HasSubstr("[3]"),
                             HasSubstr("blocks of 128 x 128")));
  EXPECT_THAT(
      Fp8Error(scales([](Tensor& t) { t.bytes.replace(4, 4, std::string("\0\0\xc0\x7f", 4)); }),
               absl::StatusCode::kDataLoss),
      HasSubstr("scale 1 is nan"));
  EXPECT_THAT(
      Fp8Error(scales([](Tensor& t) { t.name = "elsewhere"; }), absl::StatusCode::kNotFound),
      HasSubstr("neither"));
  EXPECT_THAT(
      Fp8Error(scales([](Tensor& t) { t.dtype = DType::kI32; }), absl::StatusCode::kDataLoss),
      HasSubstr("floating dtype"));
  EXPECT_THAT(Fp8Error(
                  [](Tensor& t) {
                    if (t.dtype == DType::kF8E4M3) t.bytes[9] = '\x7f';
                  },
                  absl::StatusCode::kInvalidArgument),
              HasSubstr("NaN"));
  EXPECT_THAT(Fp8Error(
                  [](Tensor& t) {
                    if (t.dtype == DType::kF8E4M3) t.shape = {192 * 160};
                  },
                  absl::StatusCode::kDataLoss),
              HasSubstr("expected a matrix"));
}

TEST(HostileFolderTest, BlockSizeOfTheConfiguration) {
  for (const json& size : {json{0, 128}, json{128}, json("128"), json{-1, 1}}) {
    const auto read =
        ReadQuantisedFolder(WriteQuantised(SmallModel(), Fp8Blocks, {{"weight_block_size", size}}));
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST(HostileFolderTest, FourBitPartsThatDoNotFit) {
  const auto error = [](const std::function<void(Parts&)>& change) {
    const auto parts = [&](const std::string& name, const TensorInfo& info,
                           const std::vector<float>& values) {
      Parts made = Nvfp4Parts(name, info, values, "", "_scale_2", false);
      change(made);
      return made;
    };
    return std::string(ReadQuantisedFolder(WriteQuantised(SmallModel(), parts)).status().message());
  };
  EXPECT_THAT(error([](Parts& parts) { parts[1].bytes[0] = '\x7f'; }), HasSubstr("scale 0 is NaN"));
  EXPECT_THAT(error([](Parts& parts) { parts.pop_back(); }), HasSubstr("_global_scale"));
  EXPECT_THAT(error([](Parts& parts) {
                parts[1].shape[1] -= 1;
                parts[1].bytes.resize(static_cast<size_t>(parts[1].ElementCount()));
              }),
              HasSubstr("expected F8_E4M3 and shape"));
  EXPECT_THAT(error([](Parts& parts) {
                parts[2].shape = {2};
                parts[2].bytes.resize(8);
              }),
              HasSubstr("one number"));
  EXPECT_THAT(error([](Parts& parts) {
                parts[1].dtype = DType::kU8;
                parts[1].shape[1] = parts[0].shape[1] / 16;
                parts[1].bytes.assign(static_cast<size_t>(parts[1].ElementCount()), '\xff');
              }),
              HasSubstr("is NaN"));
}

// ---- lattice

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

TEST(HostileFolderTest, IndexOfALatticeFolder) {
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
TEST(HostileFolderTest, RandomBytes) {
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

TEST(HostileFolderTest, FilesOfALatticeFolder) {
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
