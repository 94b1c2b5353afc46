// The libtorch reference against itself: splits, padding, refusals, precision, threads.
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/reference/torch_test_util.h"
#include "tests/small_spec.h"

namespace crosscheck {
namespace {

constexpr size_t kVocab = 61;

ModelRecipe SmallRecipe() {
  ModelRecipe recipe{.spec = SmallSpec(), .weights = {}};
  recipe.spec.layers.push_back(LayerKind::kLinearAttention);
  recipe.spec.vocab = kVocab;
  recipe.spec.conv_kernel = 3;
  recipe.spec.max_positions = 160;
  recipe.weights.seed = 17;
  return recipe;
}

std::shared_ptr<const Model> SmallModel() {
  return std::make_shared<const Model>(GenerateModel(SmallRecipe()));
}

std::vector<int32_t> Prompt(int length) {
  std::vector<int32_t> ids;
  ids.reserve(length);
  for (int i = 0; i < length; ++i) ids.push_back((i * i * 7 + i * 3 + 5) % 61);
  return ids;
}

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
    EXPECT_LT(RelativeDifference(absl::MakeConstSpan(logits).subspan(5 * kVocab), expected), 1e-11)
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
  EXPECT_LT(RelativeDifference(last->values, absl::MakeConstSpan(all).subspan(8 * kVocab)), 1e-12);
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
  for (size_t i = 0; i < broken.tensors.size(); ++i) {
    if (!broken.tensors[i].name.ends_with("embed_tokens.weight")) continue;
    broken.values[i].resize(static_cast<size_t>(10 * broken.spec.hidden));  // 10 rows
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
  shapes.reserve(states.size());
  for (const Tensor& state : states) shapes.emplace_back(state.name, state.shape);
  using Shape = std::vector<int64_t>;
  EXPECT_THAT(shapes, testing::ElementsAre(testing::Pair("layer0.conv", Shape{38, 3}),
                                           testing::Pair("layer0.recurrent", Shape{6, 5, 3}),
                                           testing::Pair("layer1.key", Shape{2, 0, 7}),
                                           testing::Pair("layer1.value", Shape{2, 0, 7}),
                                           testing::Pair("layer2.conv", Shape{38, 3}),
                                           testing::Pair("layer2.recurrent", Shape{6, 5, 3})));
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
