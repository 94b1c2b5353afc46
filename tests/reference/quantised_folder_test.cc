// Safetensors folders that are quantised already, FP8, MXFP4 and NVFP4: what they mean, and what is
// wrong with hostile ones. (Lattice's folders: lattice_folder_test.cc.)
#include "reference/quantisation/quantised_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/quantisation/decoded_model.h"
#include "reference/quantisation/fp8_e4m3.h"
#include "reference/quantisation/mxfp4.h"
#include "reference/quantisation/nvfp4.h"
#include "reference/safetensors.h"
#include "tests/reference/quantised_folder_helpers.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

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

}  // namespace
}  // namespace crosscheck
