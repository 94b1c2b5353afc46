#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reference/exact/model.h"
#include "reference/reference_model.h"
#include "tests/reference/exact_model_helpers.h"

namespace crosscheck {
namespace {

using exact::DeltaRule;

std::unique_ptr<ReferenceModel> MakeFp64(std::shared_ptr<const Model> model, DeltaRule rule) {
  auto made = exact::MakeModel<exact::Fp64>(std::move(model), rule);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

std::map<std::string, std::vector<double>> StatesOf(const ReferenceSession& session) {
  std::map<std::string, std::vector<double>> states;
  for (const Tensor& tensor : session.States()) states[tensor.name] = *tensor.ToDoubles();
  return states;
}

class ExactModelLengthTest : public testing::TestWithParam<int> {};

TEST_P(ExactModelLengthTest, ChunkedAndRecurrentDeltaRuleAgreeInFp64) {
  const ModelSpec spec = AsymmetricSpec();
  const auto weights = MakeWeights(spec);
  const std::vector<int32_t> ids = Prompt(GetParam(), spec.vocab);
  auto recurrent = MakeFp64(weights, DeltaRule::kRecurrent)->NewSession();
  auto chunked = MakeFp64(weights, DeltaRule::kChunked)->NewSession();
  EXPECT_LT(RelativeError(Extend(*chunked, {.ids = ids}), Extend(*recurrent, {.ids = ids})), 1e-12);
  const auto chunked_states = StatesOf(*chunked);
  for (const auto& [name, values] : StatesOf(*recurrent)) {
    EXPECT_LT(RelativeError(chunked_states.at(name), values), 1e-12) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(AroundChunkEdges, ExactModelLengthTest,
                         testing::Values(1, 2, 3, 63, 64, 65, 130));

TEST(ExactModelTest, EverySplitOfAPromptGivesTheSameLogits) {
  ModelSpec spec = AsymmetricSpec();
  for (const int kernel : {2, 4}) {
    spec.conv_kernel = kernel;
    const auto weights = MakeWeights(spec);
    const std::vector<int32_t> ids = Prompt(7, spec.vocab);
    for (const DeltaRule rule : {DeltaRule::kRecurrent, DeltaRule::kChunked}) {
      const auto model = MakeFp64(weights, rule);
      const std::vector<double> whole = Prefill(*model, ids);
      for (unsigned cuts = 1; cuts < 64; ++cuts) {  // bit i: cut after position i
        auto session = model->NewSession();
        std::vector<double> parts;
        for (size_t begin = 0, end = 1; end <= ids.size(); ++end) {
          if (end < ids.size() && (cuts >> (end - 1) & 1) == 0) continue;
          const auto part =
              Extend(*session, {.ids = absl::MakeConstSpan(ids).subspan(begin, end - begin)});
          parts.insert(parts.end(), part.begin(), part.end());
          begin = end;
        }
        ASSERT_LT(RelativeError(parts, whole), 1e-12) << "cuts " << cuts << ", kernel " << kernel;
      }
    }
  }
}

TEST(ExactModelTest, SplitsAcrossChunkEdgesGiveTheSameLogits) {
  const ModelSpec spec = AsymmetricSpec();
  const auto model = MakeFp64(MakeWeights(spec), DeltaRule::kChunked);
  const std::vector<int32_t> ids = Prompt(140, spec.vocab);
  const std::vector<double> whole = Prefill(*model, ids);
  for (const size_t cut : {1, 63, 64, 65, 128, 139}) {
    auto session = model->NewSession();
    std::vector<double> parts = Extend(*session, {.ids = absl::MakeConstSpan(ids).first(cut)});
    const auto rest = Extend(*session, {.ids = absl::MakeConstSpan(ids).subspan(cut)});
    parts.insert(parts.end(), rest.begin(), rest.end());
    EXPECT_LT(RelativeError(parts, whole), 1e-12) << cut;
  }
}

TEST(ExactModelTest, LeftPaddingChangesNeitherLogitsNorDeltaNetStates) {
  const ModelSpec spec = AsymmetricSpec();
  const std::vector<int32_t> ids = Prompt(6, spec.vocab);
  for (const DeltaRule rule : {DeltaRule::kRecurrent, DeltaRule::kChunked}) {
    const auto model = MakeFp64(MakeWeights(spec), rule);
    auto plain = model->NewSession();
    const std::vector<double> expected = Extend(*plain, {.ids = ids});
    const int32_t next = 2;
    const std::vector<double> expected_next = Extend(*plain, {.ids = {&next, 1}});
    for (const size_t pads : {1, 3, 64}) {
      std::vector<int32_t> padded(pads, 17);
      padded.insert(padded.end(), ids.begin(), ids.end());
      std::vector<uint8_t> mask(pads, 0);
      mask.resize(padded.size(), 1);
      auto session = model->NewSession();
      std::vector<double> logits = Extend(*session, {.ids = padded, .mask = mask});
      EXPECT_TRUE(
          std::all_of(logits.begin(), logits.end(), [](double x) { return std::isfinite(x); }));
      logits.erase(logits.begin(), logits.begin() + static_cast<ptrdiff_t>(pads) * spec.vocab);
      EXPECT_LT(RelativeError(logits, expected), 1e-12) << pads;
      EXPECT_LT(RelativeError(Extend(*session, {.ids = {&next, 1}}), expected_next), 1e-12) << pads;
      EXPECT_LT(RelativeError(StatesOf(*session)["layer2.recurrent"],
                              StatesOf(*plain)["layer2.recurrent"]),
                1e-12);
      EXPECT_LT(RelativeError(StatesOf(*session)["layer0.conv"], StatesOf(*plain)["layer0.conv"]),
                1e-12);
    }
  }
}

TEST(ExactModelTest, PaddingMayBeSplitFromThePrompt) {
  const ModelSpec spec = AsymmetricSpec();
  const auto model = Make(MakeWeights(spec));
  const std::vector<int32_t> ids = Prompt(4, spec.vocab);
  auto session = model->NewSession();
  const std::vector<uint8_t> pads(2, 0);
  Extend(*session, {.ids = absl::MakeConstSpan(ids).first(2), .mask = pads});
  EXPECT_LT(RelativeError(Extend(*session, {.ids = ids}), Prefill(*model, ids)), 1e-12);
}

TEST(ExactModelTest, ErrorsLeaveTheSessionUnchanged) {
  ModelSpec spec = AsymmetricSpec();
  spec.max_positions = 8;
  const auto model = Make(MakeWeights(spec));
  const std::vector<int32_t> ids = Prompt(8, spec.vocab);
  const auto first = absl::MakeConstSpan(ids).first(5);
  auto session = model->NewSession();
  Extend(*session, {.ids = first});
  const auto before = StatesOf(*session);
  const std::vector<int32_t> too_large = {1, spec.vocab}, negative = {-1};
  const std::vector<uint8_t> short_mask = {1}, late_padding = {1, 0};
  const ExtendRequest bad[] = {
      {.ids = {}},
      {.ids = too_large},
      {.ids = negative},
      {.ids = absl::MakeConstSpan(ids).first(4)},  // a ninth position
      {.ids = absl::MakeConstSpan(ids).first(2), .mask = short_mask},
      {.ids = absl::MakeConstSpan(ids).first(2), .mask = late_padding},
  };
  for (size_t i = 0; i < std::size(bad); ++i) {
    EXPECT_FALSE(session->Extend(bad[i]).ok()) << "request " << i;
    EXPECT_EQ(session->length(), 5) << "request " << i;
    EXPECT_EQ(StatesOf(*session), before) << "request " << i;
  }
  auto fresh = model->NewSession();
  Extend(*fresh, {.ids = first});
  const auto rest = absl::MakeConstSpan(ids).subspan(5);
  EXPECT_EQ(Extend(*session, {.ids = rest}),
            Extend(*fresh, {.ids = rest}));  // max_positions exactly
}

TEST(ExactModelTest, Fp32VariantsDifferFromFp64AndFromOneAnotherByRoundingOnly) {
  const ModelSpec spec = AsymmetricSpec();
  const auto weights = MakeWeights(spec);
  const std::vector<int32_t> ids = Prompt(40, spec.vocab);
  const std::vector<double> exact = Prefill(*Make(weights), ids);
  std::vector<std::vector<double>> seen = {exact};
  for (const ExactVariant variant :
       {ExactVariant::kFp32Recurrent, ExactVariant::kFp32ChunkedReversed,
        ExactVariant::kFp32ChunkedPairwise}) {
    const std::vector<double> logits = Prefill(*Make(weights, variant), ids);
    EXPECT_GT(RelativeError(logits, exact), 1e-8);
    EXPECT_LT(RelativeError(logits, exact), 1e-3);
    for (const double value : logits) ASSERT_EQ(value, static_cast<float>(value));
    for (const auto& other : seen) EXPECT_NE(logits, other);
    seen.push_back(logits);
  }
}

TEST(ExactModelTest, LastPositionAloneHasTheSameBits) {
  const ModelSpec spec = AsymmetricSpec();
  const std::vector<int32_t> ids = Prompt(9, spec.vocab);
  for (const ExactVariant variant : {ExactVariant::kFp64, ExactVariant::kFp32ChunkedPairwise}) {
    const auto model = Make(MakeWeights(spec), variant);
    const std::vector<double> all = Prefill(*model, ids);
    const auto last = Extend(*model->NewSession(), {.ids = ids, .all_positions = false});
    EXPECT_EQ(last, std::vector<double>(all.end() - spec.vocab, all.end()));
  }
}

class RecordingSink : public TapSink {
 public:
  explicit RecordingSink(std::string wanted) : wanted_(std::move(wanted)) {}
  bool Wants(int layer, std::string_view stage) const override {
    return Key(layer, stage) == wanted_;
  }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> new_shape,
           std::vector<double> new_values) override {
    keys.push_back(Key(layer, stage));
    shape = std::move(new_shape);
    values = std::move(new_values);
  }
  std::vector<std::string> keys;
  std::vector<int64_t> shape;
  std::vector<double> values;

 private:
  static std::string Key(int layer, std::string_view stage) {
    return absl::StrCat(layer, "/", std::string(stage));
  }
  std::string wanted_;
};

TEST(ExactModelTest, AttentionTapShowsCausalityAndPaddingAcrossExtends) {
  const ModelSpec spec = AsymmetricSpec();
  const auto model = Make(MakeWeights(spec));
  const std::vector<int32_t> ids = Prompt(7, spec.vocab);
  const std::vector<uint8_t> mask = {0, 1, 1, 1};
  auto session = model->NewSession();
  Extend(*session, {.ids = absl::MakeConstSpan(ids).first(4), .mask = mask});
  RecordingSink sink("1/attn.probs");
  Extend(*session, {.ids = absl::MakeConstSpan(ids).subspan(4), .taps = &sink});
  EXPECT_THAT(sink.keys, testing::ElementsAre("1/attn.probs"));
  ASSERT_THAT(sink.shape, testing::ElementsAre(spec.heads, 3, 7));
  for (int h = 0; h < spec.heads; ++h) {
    for (int row = 0; row < 3; ++row) {
      double total = 0;
      for (int key = 0; key < 7; ++key) {
        const double p = sink.values[(h * 3 + row) * 7 + key];
        EXPECT_EQ(p > 0, key >= 1 && key <= 4 + row) << h << " " << row << " " << key;
        total += p;
      }
      EXPECT_NEAR(total, 1, 1e-14);
    }
  }
}

TEST(ExactModelTest, TapsDoNotChangeLogits) {
  const ModelSpec spec = AsymmetricSpec();
  const auto model = Make(MakeWeights(spec));
  const std::vector<int32_t> ids = Prompt(5, spec.vocab);
  const std::vector<double> plain = Prefill(*model, ids);
  for (const char* stage :
       {"0/gdn.q_hat", "1/attn.probs", "2/layer_out", "-1/embedding", "-1/final_norm"}) {
    RecordingSink sink(stage);
    EXPECT_EQ(Extend(*model->NewSession(), {.ids = ids, .taps = &sink}), plain);
    EXPECT_THAT(sink.keys, testing::ElementsAre(stage));
  }
}

TEST(ExactModelTest, RefusesModelsWhoseTensorsDoNotFitTheSpec) {
  const Model good = GenerateModel({AsymmetricSpec(), {.seed = 1}});
  const auto status_of = [](const Model& model) {
    return MakeExactModel(std::make_shared<const Model>(model), ExactVariant::kFp64).status();
  };
  ASSERT_TRUE(status_of(good).ok());
  Model missing = good;
  missing.tensors.pop_back();
  missing.values.pop_back();
  Model transposed = good;
  std::swap(transposed.tensors[0].shape[0], transposed.tensors[0].shape[1]);
  Model truncated = good;
  truncated.values[1].pop_back();
  Model invalid = good;
  invalid.spec.kv_heads = 4;  // does not divide six heads
  for (const Model& bad : {missing, transposed, truncated, invalid}) {
    EXPECT_FALSE(status_of(bad).ok());
  }
  EXPECT_FALSE(MakeExactModel(nullptr, ExactVariant::kFp64).ok());
}

TEST(ArgMaxTest, TakesTheLowestIndexOfEqualLogits) {
  EXPECT_EQ(ArgMax(std::vector<double>{1, 3, 3, 2}), 1);
  EXPECT_EQ(ArgMax(std::vector<double>{-5}), 0);
}

}  // namespace
}  // namespace crosscheck
