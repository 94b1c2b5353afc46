#include "properties/subjects/model_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace crosscheck {
namespace {

constexpr int kDraws = 10'000;

Case Draw(int i, const Limits& limits = {}) {
  Stream stream(static_cast<uint64_t>(i), "model_run_test");
  return ModelRunSubject().random(stream, limits);
}

class QuotaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    for (int i = 0; i < kDraws; ++i) {
      const Case c = Draw(i);
      for (const std::string& label : ModelRunSubject().labels(c)) shares_[label] += 1.0 / kDraws;
      const auto& run = c.As<ModelRunCase>();
      for (const SequenceCase& sequence : run.sequences)
        mean_tokens_ += static_cast<double>(sequence.ids.size()) / kDraws;
      mean_layers_ += static_cast<double>(run.model->spec.layers.size()) / kDraws;
    }
  }
  static std::map<std::string, double> shares_;
  static double mean_tokens_, mean_layers_;
};
std::map<std::string, double> QuotaTest::shares_;
double QuotaTest::mean_tokens_ = 0;
double QuotaTest::mean_layers_ = 0;

TEST_F(QuotaTest, ShapesAreAsymmetric) {
  EXPECT_GE(shares_["value_heads!=key_heads"], 0.42);
  EXPECT_GE(shares_["kv_heads!=heads"], 0.4);
  EXPECT_GE(shares_["odd_heads"], 0.2);
  EXPECT_GE(shares_["partial_rotary"], 0.3);
  EXPECT_GE(shares_["hidden_off_simd_width"], 0.5);
}

TEST_F(QuotaTest, LengthsHitBoundaries) {
  EXPECT_GE(shares_["boundary_length"], 0.25);
  EXPECT_GE(shares_["crosses_chunk_64"], 0.04);
  EXPECT_GE(shares_["context_full"], 0.05);
}

TEST_F(QuotaTest, HeadsAreTiedInAThird) {
  EXPECT_GE(shares_["tied_head"], 0.25);
  EXPECT_LE(shares_["tied_head"], 0.5);
}

TEST_F(QuotaTest, EveryStyleStorageAndPathIsDrawn) {
  for (const std::string_view style : kWeightStyleNames)
    EXPECT_GE(shares_["style:" + std::string(style)], 0.1) << style;
  for (const std::string_view path : kModelPathNames)
    EXPECT_GE(shares_["path:" + std::string(path)], 0.25) << path;
  EXPECT_GE(shares_["storage:F32"], 0.6);
  EXPECT_GE(shares_["storage:BF16"], 0.05);
  EXPECT_GE(shares_["storage:F16"], 0.05);
}

TEST_F(QuotaTest, BothLayerKindsAreFrequent) {
  EXPECT_LE(shares_["no_full_attention"], 0.35);
  EXPECT_LE(shares_["no_linear_attention"] - shares_["family:llama"], 0.2);
}

TEST_F(QuotaTest, FamiliesAndTheirMixturesAreFrequent) {
  EXPECT_GE(shares_["family:qwen3_5"], 0.45);
  EXPECT_GE(shares_["family:llama"], 0.2);
  EXPECT_GE(shares_["family:qwen3_5_moe"], 0.2);
  EXPECT_GE(shares_["top_k:1"], 0.04);
  EXPECT_GE(shares_["top_k:many"], 0.1);
  EXPECT_GE(shares_["experts_rejected"], 0.1);
  EXPECT_GE(shares_["router:near_tied"], 0.04);
  EXPECT_GE(shares_["router:tied"], 0.03);
}

TEST(ModelRunTest, OnlyServedFamiliesAreDrawnAndTied) {
  const Limits limits{.families = 1u << static_cast<uint32_t>(Family::kQwen35) |
                                  1u << static_cast<uint32_t>(Family::kLlama),
                      .tied_families = 1u << static_cast<uint32_t>(Family::kQwen35)};
  std::map<Family, int> drawn;
  for (int i = 0; i < 500; ++i) {
    const Case c = Draw(i, limits);
    const ModelSpec& spec = c.As<ModelRunCase>().model->spec;
    ++drawn[spec.family];
    if (spec.family == Family::kLlama) {
      ASSERT_FALSE(spec.tied);
    }
  }
  EXPECT_GT(drawn[Family::kQwen35], 200);
  EXPECT_GT(drawn[Family::kLlama], 100);
  EXPECT_EQ(drawn.size(), 2u);
}

TEST_F(QuotaTest, RunsAreVaried) {
  EXPECT_GE(shares_["steps"], 0.15);
  EXPECT_GE(shares_["multi_sequence"], 0.1);
  EXPECT_LE(shares_["multi_sequence"], 0.3);
  EXPECT_GE(shares_["repeated_token"], 0.4);
  EXPECT_GE(shares_["generates"], 0.7);
}

TEST_F(QuotaTest, MeanCaseIsSmall) {
  EXPECT_LE(mean_tokens_, 25);
  EXPECT_LE(mean_layers_, 3);
}

TEST(ModelRunTest, EveryModelIsValid) {
  for (int i = 0; i < kDraws; ++i) {
    const Case c = Draw(i);
    const absl::Status status = Validate(c.As<ModelRunCase>().model->spec);
    ASSERT_TRUE(status.ok()) << status << "\n" << ModelRunSubject().print(c);
  }
}

TEST(ModelRunTest, SequencesFitTheContextAndChunksFitThePrompt) {
  for (int i = 0; i < kDraws; ++i) {
    const Case c = Draw(i, {.masks = true, .chunked_prefill = i % 2 == 0});
    const auto& run = c.As<ModelRunCase>();
    for (const SequenceCase& sequence : run.sequences) {
      const auto size = static_cast<int64_t>(sequence.ids.size());
      ASSERT_LE(size + sequence.left_padding + sequence.generate, run.model->spec.max_positions);
      int64_t prefilled = 0;
      for (const int32_t chunk : sequence.chunks) prefilled += chunk;
      ASSERT_GE(prefilled, 1);
      ASSERT_LE(prefilled, size);
      if (run.path != ModelPath::kSession) {
        ASSERT_EQ(prefilled, size);
      }
      for (const int32_t id : sequence.ids) ASSERT_LT(id, run.model->spec.vocab);
    }
  }
}

TEST(ModelRunTest, LimitsNarrowWhatIsDrawn) {
  int padded = 0, chunked = 0;
  for (int i = 0; i < 2000; ++i) {
    const Case narrow = Draw(i, {.max_layers = 1, .max_hidden = 3, .reduced_storage = false});
    const auto& run = narrow.As<ModelRunCase>();
    ASSERT_EQ(run.model->spec.layers.size(), 1u);
    ASSERT_LE(run.model->spec.hidden, 3);
    ASSERT_EQ(run.model->weights.storage, DType::kF32);
    for (const SequenceCase& sequence : run.sequences) {
      ASSERT_EQ(sequence.left_padding, 0);
      ASSERT_EQ(sequence.chunks.size(), 1u);
    }
    const Case wide = Draw(i, {.masks = true, .chunked_prefill = true});
    for (const SequenceCase& sequence : wide.As<ModelRunCase>().sequences) {
      padded += sequence.left_padding > 0 ? 1 : 0;
      chunked += sequence.chunks.size() > 1 ? 1 : 0;
    }
  }
  EXPECT_GT(padded, 100);
  EXPECT_GT(chunked, 100);
}

TEST(ModelRunTest, EqualSharedSeedsGiveTheSameModelAndOtherPrompts) {
  std::set<std::string> runs;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Stream first(seed, 77, "shared"), other(seed, 78, "shared");
    const Case c = ModelRunSubject().random(first, Limits{});
    Stream reference(1000, 77, "shared");
    EXPECT_EQ(*c.As<ModelRunCase>().model,
              *ModelRunSubject().random(reference, Limits{}).As<ModelRunCase>().model);
    EXPECT_FALSE(*c.As<ModelRunCase>().model ==
                 *ModelRunSubject().random(other, Limits{}).As<ModelRunCase>().model);
    runs.insert(ModelRunSubject().print(c));
  }
  EXPECT_GT(runs.size(), 15u);
}

TEST(ModelRunTest, TheSameStreamGivesTheSameCase) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(ModelRunSubject().equal(Draw(i), Draw(i)));
}

TEST(ModelRunTest, LongPromptsAreRareInLargeModels) {
  // The generator's own bound: the longest case that the largest model may have.
  const std::string largest =
      "model.layers = full full full full full full\nmodel.vocab = 128\nmodel.hidden = "
      "44\nmodel.intermediate = 52\n"
      "model.kv_heads = 6\nmodel.heads = 6\nmodel.head_dim = 24\nmodel.max_positions = "
      "512\nsequences.0.ids =";
  std::string text = largest;
  for (int i = 0; i < 200; ++i) text += " 1";
  const Case c = ModelRunSubject().parse(text).value();
  EXPECT_EQ(c.As<ModelRunCase>().sequences[0].ids.size(), 200u);
  const Case clamped = ModelRunSubject().clamp(c, Limits{});
  EXPECT_LT(clamped.As<ModelRunCase>().sequences[0].ids.size(), 120u);
  EXPECT_GT(clamped.As<ModelRunCase>().sequences[0].ids.size(), 40u);
}

TEST(ModelRunTest, LabelsDescribeTheCase) {
  const Case c =
      ModelRunSubject()
          .parse(
              "model.layers = linear\nmodel.linear_key_heads = 1\nmodel.linear_value_heads = 3\n"
              "model.max_positions = 9\npath = session\nsequences.0.ids = 0 0 "
              "1\nsequences.0.chunks = 1\n")
          .value();
  EXPECT_THAT(
      ModelRunSubject().labels(c),
      testing::UnorderedElementsAre("value_heads!=key_heads", "odd_heads", "hidden_off_simd_width",
                                    "no_full_attention", "family:qwen3_5", "style:plain",
                                    "storage:F32", "path:session", "steps", "repeated_token"));
}

TEST(SubjectTest, FindsSubjectsByName) {
  EXPECT_EQ(FindSubject("model_run"), &ModelRunSubject());
  EXPECT_EQ(FindSubject("toy"), nullptr);
}

}  // namespace
}  // namespace crosscheck
