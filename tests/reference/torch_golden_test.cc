// The libtorch reference against the numbers of Hugging Face Transformers in tests/golden.
#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/safetensors.h"
#include "tests/reference/torch_test_util.h"

namespace crosscheck {
namespace {

void ExpectClose(const Tensor& actual, const Tensor& expected, double tolerance) {
  EXPECT_EQ(actual.shape, expected.shape) << expected.name;
  EXPECT_LT(RelativeDifference(*actual.ToDoubles(), *expected.ToDoubles()), tolerance)
      << expected.name;
}

class TorchGoldenTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string folder = std::string("tests/golden/") + GetParam();
    auto model = ReadCheckpoint(folder);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = std::make_shared<const Model>(*std::move(model));
    auto bytes = ReadFile(folder + "/expected.safetensors");
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    auto tensors = DecodeSafetensors(*bytes);
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    for (Tensor& tensor : *tensors) expected_[tensor.name] = std::move(tensor);
    std::ifstream file(folder + "/golden.json");
    golden_ = nlohmann::json::parse(file, nullptr, false);
    ASSERT_FALSE(golden_.is_discarded());
  }

  template <class T>
  std::vector<T> Integers(const std::string& name) const {
    const absl::Span<const int64_t> values = expected_.at(name).As<int64_t>();
    return {values.begin(), values.end()};
  }

  std::shared_ptr<const Model> model_;
  std::map<std::string, Tensor> expected_;
  nlohmann::json golden_;
};

// Only some goldens record the stages of a layer or a padded batch.
class TorchStagesTest : public TorchGoldenTest {};
class TorchPaddingTest : public TorchGoldenTest {};

TEST_P(TorchGoldenTest, Fp64ReproducesLogitsHiddenStatesAndCaches) {
  const auto torch = Torch(model_);
  const int layers = static_cast<int>(model_->spec.layers.size());
  for (size_t p = 0; p < golden_["prompts"].size(); ++p) {
    const std::string prompt = "p" + std::to_string(p) + ".";
    auto session = torch->NewSession();
    Recorder taps;
    const auto logits = LogitsOf(*session, Integers<int32_t>(prompt + "input_ids"), {}, &taps);
    EXPECT_LT(RelativeDifference(logits, *expected_.at(prompt + "logits_f64").ToDoubles()), 1e-11);

    const std::vector<double> hidden = *expected_.at(prompt + "hidden_f64").ToDoubles();
    const size_t size = hidden.size() / (layers + 2);
    for (int row = 0; row < layers + 2; ++row) {
      const std::string name = row == 0 ? "layer-1.embedding"
                               : row == layers + 1
                                   ? "layer-1.final_norm"
                                   : "layer" + std::to_string(row - 1) + ".layer_out";
      EXPECT_LT(RelativeDifference(*taps.tensors[name].ToDoubles(),
                                   absl::MakeConstSpan(hidden).subspan(row * size, size)),
                1e-11)
          << prompt << name;
    }
    const std::vector<Tensor> states = session->States();
    EXPECT_EQ(states.size(), 2U * layers);
    for (const Tensor& state : states) {
      ExpectClose(state, expected_.at(prompt + "state." + state.name + ".f64"), 1e-11);
    }
  }
}

TEST_P(TorchStagesTest, Fp64ReproducesEveryStage) {
  Recorder taps;
  LogitsOf(*Torch(model_)->NewSession(), Integers<int32_t>("stage.input_ids"), {}, &taps);
  int compared = 0;
  for (const auto& [name, tensor] : expected_) {
    if (!name.starts_with("stage.layer") || !name.ends_with(".f64")) continue;
    const std::string stage = name.substr(6, name.size() - 10);
    ASSERT_TRUE(taps.tensors.contains(stage)) << stage;
    ExpectClose(taps.tensors[stage], tensor, 1e-11);
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

TEST_P(TorchGoldenTest, Fp32IsAsCloseToFp64AsHuggingFaceInFp32) {
  const auto torch = Torch(model_, TorchPrecision::kFp32);
  double prefill = 0;
  double decode = 0;
  for (size_t p = 0; p < golden_["prompts"].size(); ++p) {
    const std::string prompt = "p" + std::to_string(p) + ".";
    const auto ids = Integers<int32_t>(prompt + "input_ids");
    const auto expected = *expected_.at(prompt + "logits_f64").ToDoubles();
    prefill = std::max(prefill, LargestDifference(LogitsOf(*torch->NewSession(), ids), expected));
    std::vector<double> steps;
    auto session = torch->NewSession();
    for (const int32_t id : ids) {
      const auto row = LogitsOf(*session, {&id, 1});
      steps.insert(steps.end(), row.begin(), row.end());
    }
    decode = std::max(decode, LargestDifference(steps, expected));
  }
  const nlohmann::json& errors = golden_["errors"];
  EXPECT_LT(prefill, 4 * errors["logits_f32_vs_f64"].get<double>());
  EXPECT_LT(decode, 4 * errors["decode_f32_vs_f64"].get<double>());
  EXPECT_GT(prefill, 0);
}

TEST_P(TorchPaddingTest, Fp64ReproducesALeftPaddedBatch) {
  const auto torch = Torch(model_);
  const auto ids = Integers<int32_t>("pad.input_ids");
  const auto mask = Integers<uint8_t>("pad.attention_mask");
  const auto expected = *expected_.at("pad.logits_f64").ToDoubles();
  const size_t length = expected_.at("pad.input_ids").shape[1];
  const size_t vocab = model_->spec.vocab;
  for (size_t begin = 0; begin < ids.size(); begin += length) {
    const auto logits =
        LogitsOf(*torch->NewSession(), absl::MakeConstSpan(ids).subspan(begin, length),
                 absl::MakeConstSpan(mask).subspan(begin, length));
    size_t first = 0;  // real position: what the model says about padding means nothing
    while (mask[begin + first] == 0) ++first;
    EXPECT_LT(RelativeDifference(absl::MakeConstSpan(logits).subspan(first * vocab),
                                 absl::MakeConstSpan(expected).subspan((begin + first) * vocab,
                                                                       (length - first) * vocab)),
              1e-11);
  }
}

std::string TestName(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Goldens, TorchGoldenTest,
                         testing::Values("qwen35-tiny", "qwen35-base", "qwen35-tied-r3",
                                         "qwen35-equal-heads", "qwen35-bf16", "qwen35-long",
                                         "qwen35-deep40", "qwen35-outlier", "llama-gqa",
                                         "qwen35moe-top1", "qwen35moe-top2", "qwen35moe-neartie"),
                         TestName);
INSTANTIATE_TEST_SUITE_P(Goldens, TorchStagesTest, testing::Values("qwen35-base", "qwen35-long"),
                         TestName);
INSTANTIATE_TEST_SUITE_P(Goldens, TorchPaddingTest, testing::Values("qwen35-base"), TestName);

}  // namespace
}  // namespace crosscheck
