#include "reference/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "nlohmann/json.hpp"
#include "reference/tokenizer_json.h"
#include "tests/own_folder.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

ModelRecipe SmallRecipe(DType storage, bool tied) {
  ModelRecipe recipe{.spec = SmallSpec(), .weights = {}};
  recipe.spec.tied = tied;
  recipe.weights = {3, WeightStyle::kPlain, storage};
  return recipe;
}

class CheckpointTest : public testing::Test {
 protected:
  void Write(const Model& model, const CheckpointOptions& options = {}) {
    const absl::Status status = WriteCheckpoint(model, folder_, options);
    ASSERT_TRUE(status.ok()) << status;
  }
  // The error of reading after `change` edited the tensors of a good checkpoint.
  std::string ErrorAfter(const std::function<void(std::vector<Tensor>*)>& change) {
    Write(GenerateModel(SmallRecipe(DType::kF32, false)));
    const std::string path = folder_ + "/model.safetensors";
    std::vector<Tensor> tensors = *DecodeSafetensors(*ReadFile(path));
    change(&tensors);
    EXPECT_TRUE(WriteFile(path, EncodeSafetensors(tensors)).ok());
    return Error();
  }
  std::string Error() {
    const auto model = ReadCheckpoint(folder_);
    return model.ok() ? "accepted" : std::string(model.status().message());
  }
  const OwnFolder own_;
  const std::string root_ = own_.path();
  const std::string folder_ = root_ + "/a/model";
};

void ExpectSame(const Model& a, const Model& b) {
  EXPECT_EQ(a.spec, b.spec);
  EXPECT_EQ(a.storage, b.storage);
  EXPECT_EQ(a.values, b.values);
}

TEST_F(CheckpointTest, RoundTripIsIdenticalInEveryStorageSingleAndSharded) {
  for (const bool tied : {false, true}) {
    for (const DType storage : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const int shards : {1, 3}) {
        for (const WriteMode mode : {WriteMode::kAtomic, WriteMode::kOverwrite}) {
          const Model model = GenerateModel(SmallRecipe(storage, tied));
          Write(model, {shards, mode});
          const auto read = ReadCheckpoint(folder_);
          ASSERT_TRUE(read.ok()) << read.status();
          ExpectSame(model, *read);
        }
      }
    }
  }
}

TEST_F(CheckpointTest, ReleasedDTypesAreInTheFile) {
  Write(GenerateModel(SmallRecipe(DType::kBF16, false)));
  const auto tensors = DecodeSafetensors(*ReadFile(folder_ + "/model.safetensors"));
  ASSERT_TRUE(tensors.ok());
  for (const Tensor& tensor : *tensors) {
    const bool kept = tensor.name.find("A_log") != std::string::npos ||
                      tensor.name.find("linear_attn.norm") != std::string::npos;
    EXPECT_EQ(tensor.dtype, kept ? DType::kF32 : DType::kBF16) << tensor.name;
  }
}

TEST_F(CheckpointTest, NobodyElseMayWriteFilesAndFolders) {
  const mode_t before = umask(0);
  Write(GenerateModel(SmallRecipe(DType::kF32, false)));
  umask(before);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    struct stat info = {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, entry.is_directory() ? 0755 : 0644) << entry.path();
  }
}

TEST_F(CheckpointTest, TextOnlyPrefixIsReadAndMixturesAreRefused) {
  const auto rename = [](Tensor* tensor) {
    const size_t at = tensor->name.find("language_model.");
    if (at != std::string::npos) tensor->name.erase(at, std::string("language_model.").size());
  };
  EXPECT_EQ(ErrorAfter([&](auto* tensors) {
              for (Tensor& tensor : *tensors) rename(&tensor);
            }),
            "accepted");
  EXPECT_THAT(
      ErrorAfter([&](auto* tensors) { rename(&tensors->back()), rename(&tensors->front()); }),
      HasSubstr("mix the prefixes"));
}

TEST_F(CheckpointTest, ExtraTensorsAreIgnored) {
  EXPECT_EQ(ErrorAfter([](auto* tensors) {
              tensors->push_back(MakeTensor("mtp.fc.weight", {0}, absl::Span<const float>()));
              tensors->push_back(MakeTensor("model.visual.x", {0}, absl::Span<const float>()));
            }),
            "accepted");
}

TEST_F(CheckpointTest, BadTensorsAreNamed) {
  const auto head = [](std::vector<Tensor>* tensors) -> Tensor& {
    for (Tensor& tensor : *tensors) {
      if (tensor.name == "lm_head.weight") return tensor;
    }
    return tensors->front();
  };
  EXPECT_THAT(ErrorAfter([&](auto* t) { head(t).name = "head"; }),
              AllOf(HasSubstr(folder_), HasSubstr("lm_head.weight is missing and tie_word")));
  EXPECT_THAT(
      ErrorAfter([&](auto* t) { std::swap(head(t).shape[0], head(t).shape[1]); }),
      HasSubstr(
          "model.safetensors: tensor lm_head.weight has shape [13,31]; config.json wants [31,13]"));
  EXPECT_THAT(ErrorAfter([&](auto* t) { head(t).dtype = DType::kI32; }),
              HasSubstr("lm_head.weight has dtype I32; expected F32, BF16 or F16"));
  EXPECT_THAT(ErrorAfter([&](auto* t) { head(t).bytes.replace(0, 4, "\0\0\x80\x7f", 4); }),
              HasSubstr("lm_head.weight holds NaN or infinity"));
  EXPECT_THAT(ErrorAfter([](auto* t) { t->clear(); }), HasSubstr("embed_tokens.weight is missing"));
}

TEST_F(CheckpointTest, MissingTruncatedAndGarbledFilesAreNamed) {
  EXPECT_THAT(Error(), HasSubstr("config.json: No such file"));
  Write(GenerateModel(SmallRecipe(DType::kF32, false)));
  const std::string weights = folder_ + "/model.safetensors";
  const std::string image = *ReadFile(weights);
  ASSERT_TRUE(WriteFile(weights, image.substr(0, image.size() / 2)).ok());
  EXPECT_THAT(Error(), AllOf(HasSubstr(weights), HasSubstr("outside the")));
  ASSERT_TRUE(WriteFile(weights, "").ok());
  EXPECT_THAT(Error(), HasSubstr("too few"));
  std::filesystem::remove(weights);
  EXPECT_THAT(Error(), HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  ASSERT_TRUE(WriteFile(folder_ + "/config.json", "{\"model_type\": \"\xC3\x28\"}").ok());
  EXPECT_THAT(Error(), HasSubstr("config.json: not valid JSON at byte 18"));
  ASSERT_TRUE(WriteFile(folder_ + "/config.json", std::string(100000, '[')).ok());
  EXPECT_THAT(Error(), HasSubstr("not valid JSON"));
}

TEST_F(CheckpointTest, BadIndexesAreNamed) {
  Write(GenerateModel(SmallRecipe(DType::kF32, false)), {2});
  const std::string path = folder_ + "/model.safetensors.index.json";
  const auto with = [&](const std::string& text) {
    EXPECT_TRUE(WriteFile(path, text).ok());
    return Error();
  };
  EXPECT_THAT(with("{}"), HasSubstr("expected an object \"weight_map\""));
  EXPECT_THAT(with(R"({"weight_map": {"a": 3}})"), HasSubstr("weight_map of a holds 3"));
  EXPECT_THAT(with(R"({"weight_map": {"a": "../x"}})"), HasSubstr("expected a file name inside"));
  EXPECT_THAT(with(R"({"weight_map": {"a": "/x"}})"), HasSubstr("expected a file name inside"));
  EXPECT_THAT(with(R"({"weight_map": {"a": "b/x"}})"), HasSubstr("expected a plain file name"));
  EXPECT_THAT(with(R"({"weight_map": {"a": "none"}})"), HasSubstr("none: No such file"));
  EXPECT_THAT(with(R"({"weight_map": {"a": "model-00001-of-00002.safetensors"}})"),
              HasSubstr("is missing"));
}

// No reader follows such a path for a tensor of the model; others are never looked up by some.
TEST_F(CheckpointTest, PathOutsideTheFolderIsWorseForATensorOfTheModel) {
  Write(GenerateModel(SmallRecipe(DType::kF32, false)), {2});
  const auto code = [&](const std::string& tensor) {
    const std::string text = R"({"weight_map": {")" + tensor + R"(": "../x"}})";
    EXPECT_TRUE(WriteFile(folder_ + "/model.safetensors.index.json", text).ok());
    return ReadCheckpoint(folder_).status().code();
  };
  EXPECT_EQ(code("lm_head.weight"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code("model.language_model.norm.weight"), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code("mtp.fc.weight"), absl::StatusCode::kInvalidArgument);
}

TEST_F(CheckpointTest, UnwritableFolderIsNamed) {
  const absl::Status status =
      WriteCheckpoint(GenerateModel(SmallRecipe(DType::kF32, false)), "/proc/crosscheck/model");
  EXPECT_THAT(std::string(status.message()), HasSubstr("/proc/crosscheck/model"));
}

TEST(TokenizerJsonTest, HoldsUniqueSingleCharactersUpToItsCap) {
  for (const int vocab : {1, 2, 8, 97, 256, 5000}) {
    const json tokenizer = json::parse(TokenizerJson(vocab), nullptr, false);
    ASSERT_FALSE(tokenizer.is_discarded());
    const json& entries = tokenizer["model"]["vocab"];
    EXPECT_EQ(entries.size(), std::min(vocab, 256));
    EXPECT_EQ(entries["<unk>"], 0);
    for (const auto& [token, id] : entries.items()) {
      if (id != 0) {
        EXPECT_LE(token.size(), 2);
      }
      EXPECT_LT(id, vocab);
    }
    EXPECT_EQ(tokenizer["model"]["type"], "BPE");
    EXPECT_EQ(tokenizer["pre_tokenizer"]["type"], "ByteLevel");
  }
  EXPECT_EQ(json::parse(TokenizerJson(300))["model"]["vocab"]["z"], 26);
}

TEST(GoldenCheckpointTest, EveryCheckpointOfASupportedFamilyReads) {
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory()) continue;
    const auto model = ReadCheckpoint(entry.path().string());
    const bool supported = name.starts_with("qwen35") || name.starts_with("llama-");
    EXPECT_EQ(model.ok(), supported) << name << ": " << model.status();
    if (!model.ok()) {
      EXPECT_THAT(std::string(model.status().message()), HasSubstr("supported: qwen3_5"));
      continue;
    }
    ++read;
    EXPECT_EQ(model->storage, name == "qwen35-bf16" ? DType::kBF16 : DType::kF32);
    if (name.starts_with("qwen35-")) EXPECT_EQ(model->spec.tied, name == "qwen35-tied-r3");
  }
  EXPECT_GE(read, 14);
}

}  // namespace
}  // namespace crosscheck
