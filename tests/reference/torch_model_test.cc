// The libtorch reference against Hugging Face's numbers (tests/golden) and against itself.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "reference/checkpoint.h"
#include "reference/reference_model.h"
#include "reference/safetensors.h"

namespace crosscheck {
namespace {

using Tensors = std::map<std::string, Tensor>;

ModelRecipe SmallRecipe() {
  ModelRecipe recipe;
  ModelSpec& spec = recipe.spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention,
                 LayerKind::kLinearAttention};
  spec.vocab = 61;
  spec.hidden = 20;
  spec.intermediate = 28;
  spec.heads = 6;
  spec.kv_heads = 2;
  spec.head_dim = 10;
  spec.rotary_dim = 4;
  spec.linear_key_heads = 2;
  spec.linear_value_heads = 6;
  spec.linear_key_dim = 5;
  spec.linear_value_dim = 7;
  spec.conv_kernel = 3;
  spec.max_positions = 160;
  recipe.weights.seed = 17;
  return recipe;
}

std::shared_ptr<const Model> SmallModel() {
  return std::make_shared<const Model>(GenerateModel(SmallRecipe()));
}

std::unique_ptr<ReferenceModel> Torch(std::shared_ptr<const Model> model,
                                      TorchPrecision precision = TorchPrecision::kFp64) {
  auto torch = MakeTorchModel(std::move(model), precision);
  EXPECT_TRUE(torch.ok()) << torch.status();
  return torch.ok() ? *std::move(torch) : nullptr;
}

std::vector<int32_t> Prompt(int length, int vocab = 61) {
  std::vector<int32_t> ids;
  for (int i = 0; i < length; ++i) ids.push_back((i * i * 7 + i * 3 + 5) % vocab);
  return ids;
}

std::vector<double> LogitsOf(ReferenceSession& session, absl::Span<const int32_t> ids,
                             absl::Span<const uint8_t> mask = {}, TapSink* taps = nullptr) {
  auto logits = session.Extend({.ids = ids, .mask = mask, .taps = taps});
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits.ok() ? logits->values : std::vector<double>{};
}

double LargestDifference(absl::Span<const double> a, absl::Span<const double> b) {
  if (a.size() != b.size() || a.empty()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

double RelativeDifference(absl::Span<const double> a, absl::Span<const double> b) {
  double scale = 0;
  for (const double x : b) scale = std::max(scale, std::abs(x));
  return LargestDifference(a, b) / std::max(scale, 1e-12);
}

class Recorder : public TapSink {
 public:
  bool Wants(int layer, std::string_view) const override { return layer != unwanted_layer; }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> shape,
           std::vector<double> values) override {
    const std::string name = "layer" + std::to_string(layer) + "." + std::string(stage);
    tensors[name] = MakeTensor(name, std::move(shape), absl::MakeConstSpan(values));
  }
  int unwanted_layer = -2;
  Tensors tensors;
};

void ExpectClose(const Tensor& actual, const Tensor& expected, double tolerance) {
  EXPECT_EQ(actual.shape, expected.shape) << expected.name;
  EXPECT_LT(RelativeDifference(*actual.ToDoubles(), *expected.ToDoubles()), tolerance)
      << expected.name;
}

// ---- against Hugging Face ----

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
  Tensors expected_;
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
                                         "qwen35-deep40", "qwen35-outlier"),
                         TestName);
INSTANTIATE_TEST_SUITE_P(Goldens, TorchStagesTest, testing::Values("qwen35-base", "qwen35-long"),
                         TestName);
INSTANTIATE_TEST_SUITE_P(Goldens, TorchPaddingTest, testing::Values("qwen35-base"), TestName);

// ---- against itself ----

TEST(TorchModelTest, EverySplitOfAPromptGivesTheSameLogits) {
  const auto torch = Torch(SmallModel());
  const auto ids = Prompt(140);
  const auto whole = LogitsOf(*torch->NewSession(), ids);
  for (const std::vector<size_t>& sizes : std::vector<std::vector<size_t>>{
           {1, 139}, {2, 138}, {139, 1}, {64, 76}, {65, 75}, {3, 1, 1, 70, 65}}) {
    auto session = torch->NewSession();
    std::vector<double> parts;
    size_t begin = 0;
    for (const size_t size : sizes) {
      const auto part = LogitsOf(*session, absl::MakeConstSpan(ids).subspan(begin, size));
      parts.insert(parts.end(), part.begin(), part.end());
      begin += size;
    }
    EXPECT_LT(RelativeDifference(parts, whole), 1e-11) << "first part " << sizes[0];
    EXPECT_EQ(session->length(), 140);
  }
}

TEST(TorchModelTest, LeftPaddingChangesNothingInAnySplit) {
  const auto torch = Torch(SmallModel());
  const auto ids = Prompt(20);
  const int32_t next = 7;
  auto plain = torch->NewSession();
  auto expected = LogitsOf(*plain, ids);
  const auto expected_step = LogitsOf(*plain, {&next, 1});
  expected.insert(expected.end(), expected_step.begin(), expected_step.end());

  std::vector<int32_t> padded(5, 3);
  padded.insert(padded.end(), ids.begin(), ids.end());
  std::vector<uint8_t> mask(25, 1);
  std::fill_n(mask.begin(), 5, 0);
  for (const size_t cut : {25, 1, 3, 5, 9}) {
    auto session = torch->NewSession();
    const auto head = [&](const auto& list) { return absl::MakeConstSpan(list).subspan(0, cut); };
    const auto tail = [&](const auto& list) { return absl::MakeConstSpan(list).subspan(cut); };
    auto logits = LogitsOf(*session, head(padded), head(mask));
    if (cut < padded.size()) {
      const auto rest = LogitsOf(*session, tail(padded), tail(mask));
      logits.insert(logits.end(), rest.begin(), rest.end());
    }
    const auto step = LogitsOf(*session, {&next, 1});
    logits.insert(logits.end(), step.begin(), step.end());
    EXPECT_LT(RelativeDifference(absl::MakeConstSpan(logits).subspan(5 * 61U), expected), 1e-11)
        << "cut " << cut;
  }
}

TEST(TorchModelTest, LastPositionOnlyIsTheLastRow) {
  const auto torch = Torch(SmallModel());
  const auto ids = Prompt(9);
  const auto all = LogitsOf(*torch->NewSession(), ids);
  const auto last = torch->NewSession()->Extend({.ids = ids, .all_positions = false});
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->rows(), 1);
  EXPECT_LT(RelativeDifference(last->values, absl::MakeConstSpan(all).subspan(8 * 61U)), 1e-12);
}

TEST(TorchModelTest, RefusedRequestsLeaveTheSessionUnchanged) {
  const auto torch = Torch(SmallModel());
  const auto ids = Prompt(6);
  auto untouched = torch->NewSession();
  auto session = torch->NewSession();
  LogitsOf(*untouched, ids);
  LogitsOf(*session, ids);
  const std::vector<int32_t> too_large = {1, 61};
  const std::vector<int32_t> negative = {-1};
  const std::vector<int32_t> too_long = Prompt(155);
  const std::vector<uint8_t> short_mask = {1};
  using testing::HasSubstr;
  const auto refusal = [&](const ExtendRequest& request) {
    const absl::Status status = session->Extend(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(session->length(), 6);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal({.ids = {}}), HasSubstr("empty"));
  EXPECT_THAT(refusal({.ids = too_large}), HasSubstr("61 is outside the vocabulary 0..60"));
  EXPECT_THAT(refusal({.ids = negative}), HasSubstr("-1 is outside the vocabulary"));
  EXPECT_THAT(refusal({.ids = too_long}), HasSubstr("6 + 155 positions exceed max_positions 160"));
  EXPECT_THAT(refusal({.ids = ids, .mask = short_mask}), HasSubstr("mask has 1 entries"));
  EXPECT_EQ(LogitsOf(*session, ids), LogitsOf(*untouched, ids));
}

TEST(TorchModelTest, ExceptionsOfLibtorchBecomeInternalErrors) {
  Model broken = GenerateModel(SmallRecipe());
  for (size_t i = 0; i < broken.tensors.size(); ++i) {  // 10 rows instead of 61
    if (broken.tensors[i].name.ends_with("embed_tokens.weight")) broken.values[i].resize(10 * 20U);
  }
  auto session = Torch(std::make_shared<const Model>(std::move(broken)))->NewSession();
  const std::vector<int32_t> inside = {1, 2};
  const std::vector<int32_t> outside = {1, 30};
  LogitsOf(*session, inside);
  EXPECT_EQ(session->Extend({.ids = outside}).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(session->length(), 2);

  Model ragged = GenerateModel(SmallRecipe());
  for (std::vector<float>& values : ragged.values) values.resize(values.size() - 1);
  EXPECT_EQ(MakeTorchModel(std::make_shared<const Model>(std::move(ragged)), TorchPrecision::kFp32)
                .status()
                .code(),
            absl::StatusCode::kInternal);
}

TEST(TorchModelTest, Fp32DiffersFromFp64ByRoundingOnly) {
  const auto model = SmallModel();
  const auto ids = Prompt(70);
  const double difference =
      RelativeDifference(LogitsOf(*Torch(model, TorchPrecision::kFp32)->NewSession(), ids),
                         LogitsOf(*Torch(model, TorchPrecision::kFp64)->NewSession(), ids));
  EXPECT_GT(difference, 1e-9);
  EXPECT_LT(difference, 1e-3);
}

TEST(TorchModelTest, TapsAreSelectiveAndChangeNoBit) {
  const auto torch = Torch(SmallModel(), TorchPrecision::kFp32);
  const auto ids = Prompt(10);
  Recorder taps;
  taps.unwanted_layer = 1;
  EXPECT_EQ(LogitsOf(*torch->NewSession(), ids, {}, &taps), LogitsOf(*torch->NewSession(), ids));
  EXPECT_TRUE(taps.tensors.contains("layer0.gdn.u"));
  EXPECT_FALSE(taps.tensors.contains("layer1.attn.probs"));
}

TEST(TorchModelTest, StatesOfANewSessionAreEmpty) {
  const auto states = Torch(SmallModel())->NewSession()->States();
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  for (const Tensor& state : states) shapes.emplace_back(state.name, state.shape);
  using Shape = std::vector<int64_t>;
  EXPECT_THAT(shapes, testing::ElementsAre(testing::Pair("layer0.conv", Shape{62, 3}),
                                           testing::Pair("layer0.recurrent", Shape{6, 5, 7}),
                                           testing::Pair("layer1.key", Shape{2, 0, 10}),
                                           testing::Pair("layer1.value", Shape{2, 0, 10}),
                                           testing::Pair("layer2.conv", Shape{62, 3}),
                                           testing::Pair("layer2.recurrent", Shape{6, 5, 7})));
  EXPECT_THAT(*states[1].ToDoubles(), testing::Each(0));
}

TEST(TorchModelTest, SessionsOutliveTheirModel) {
  auto torch = Torch(SmallModel(), TorchPrecision::kFp32);
  const auto ids = Prompt(10);
  const auto expected = LogitsOf(*torch->NewSession(), ids);
  auto session = torch->NewSession();
  torch.reset();
  EXPECT_EQ(LogitsOf(*session, ids), expected);
}

TEST(TorchModelTest, ThreadsAndRepetitionsGiveTheSameBits) {
  const auto ids = Prompt(90);
  const auto run = [&](TorchPrecision precision) {
    std::vector<double> all;
    for (int repetition = 0; repetition < 10; ++repetition) {
      auto session = Torch(SmallModel(), precision)->NewSession();
      for (const size_t begin : {0, 40, 80}) {
        const auto part = LogitsOf(*session, absl::MakeConstSpan(ids).subspan(begin, 40));
        all.insert(all.end(), part.begin(), part.end());
      }
    }
    return all;
  };
  const auto fp32 = run(TorchPrecision::kFp32);
  const auto fp64 = run(TorchPrecision::kFp64);
  const size_t one = fp32.size() / 10;
  for (size_t i = one; i < fp32.size(); ++i) ASSERT_EQ(fp32[i], fp32[i - one]) << i;
  std::vector<double> fp32_beside;
  std::vector<double> fp64_beside;
  std::thread first([&] { fp32_beside = run(TorchPrecision::kFp32); });
  std::thread second([&] { fp64_beside = run(TorchPrecision::kFp64); });
  first.join();
  second.join();
  EXPECT_EQ(fp32_beside, fp32);
  EXPECT_EQ(fp64_beside, fp64);
}

}  // namespace
}  // namespace crosscheck
