// The trained checkpoint: crosscheck's numbers are those that Transformers recorded
// (seeds/checkpoints/tiny-qwen35/README.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quality/compare.h"
#include "quality/metrics/divergence.h"
#include "quality/position_stat.h"
#include "reference/json_input.h"
#include "reference/safetensors.h"
#include "tests/own_folder.h"

namespace crosscheck::quality {
namespace {

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

std::vector<Tensor> Recorded() {
  const auto bytes = ReadFile(std::string(kModel) + "/expected.safetensors");
  auto tensors = DecodeSafetensors(*bytes);
  return *std::move(tensors);
}

const Tensor& Find(const std::vector<Tensor>& tensors, const std::string& name) {
  for (const Tensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return tensors[0];
}

bool HasTokenizer() { return Tokenizer::Load(kModel).ok(); }

// The reference alone, on the ten prompts that were recorded and, `text`, the held-out text.
absl::StatusOr<Comparison> Record(const std::string& out, bool text) {
  CompareOptions options;
  options.model = kModel;
  options.inputs.prompts_file = std::string(kModel) + "/prompts.jsonl";
  if (text) options.inputs.text_file = std::string(kModel) + "/heldout.txt";
  options.inputs.step_targets = 0;
  options.inputs.limit = text ? 1 : 0;
  options.out = out;
  options.forced_positions = 50;
  options.layer_prompts = 0;
  options.sampled_prompts = options.draw_positions = 0;
  return Compare(options);
}

TEST(TrainedCheckpointTest, ThePerplexityIsTheRecordedOne) {
  if (!HasTokenizer()) GTEST_SKIP() << "crosscheck-oracle is not built";
  const OwnFolder folder;
  const auto comparison = Record(folder.path(), true);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const auto dump = DumpReader::Open(folder.path() + "/dumps/reference");
  ASSERT_TRUE(dump.ok()) << dump.status();
  const std::vector<Tensor> recorded = Recorded();
  const auto nll = Find(recorded, "heldout.nll_f64").As<double>();
  size_t at = 0;
  double sum = 0, worst = 0;
  for (int window = 0; window < (*dump)->Items("text"); ++window) {
    const auto stat = (*dump)->Read("text", window, "stat");
    ASSERT_TRUE(stat.ok()) << stat.status();
    const auto values = (*stat)->As<double>();
    for (size_t i = 6; i < values.size(); i += kStatColumns, ++at) {
      ASSERT_LT(at, nll.size());
      sum -= values[i];
      worst = std::max(worst, std::abs(-values[i] - nll[at]));
    }
  }
  EXPECT_EQ(at, 20340U);
  EXPECT_LT(worst, 1e-6);
  const auto expected = ParseJson(*ReadFile(std::string(kModel) + "/expected.json"));
  const double perplexity = (*expected)["windowed_perplexity_512_256"]["f64"]["perplexity"];
  EXPECT_NEAR(std::exp(sum / 20340) / perplexity, 1, 1e-6);
}

TEST(TrainedCheckpointTest, GreedyTokensAndLogProbabilitiesAreTheRecordedOnes) {
  const OwnFolder folder;
  const auto comparison = Record(folder.path(), false);
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const auto dump = DumpReader::Open(folder.path() + "/dumps/reference");
  ASSERT_TRUE(dump.ok()) << dump.status();
  const std::vector<Tensor> recorded = Recorded();
  const auto expected = ParseJson(*ReadFile(std::string(kModel) + "/expected.json"));
  int judged = 0;
  for (const Json& prompt : (*expected)["prompts"]) {
    const std::string id = prompt["id"];
    const auto found =
        std::find_if(comparison->inputs.prompts.begin(), comparison->inputs.prompts.end(),
                     [&](const Prompt& p) { return p.id == id; });
    ASSERT_NE(found, comparison->inputs.prompts.end());
    const int item = static_cast<int>(found - comparison->inputs.prompts.begin());
    const auto ids = (*dump)->Read("greedy", item, "ids");
    const auto logits = (*dump)->Read("forced", item, "logits");
    ASSERT_TRUE(ids.ok() && logits.ok());
    const auto ours = (*ids)->As<int32_t>();
    const Tensor& greedy = Find(recorded, id + ".greedy_ids");
    const auto theirs =
        greedy.dtype == DType::kI64
            ? std::vector<int64_t>(greedy.As<int64_t>().begin(), greedy.As<int64_t>().end())
            : std::vector<int64_t>(greedy.As<int32_t>().begin(), greedy.As<int32_t>().end());
    // Ours end at an end-of-sequence id, theirs do not.
    for (size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i)
      EXPECT_EQ(ours[i], theirs[i]) << id;
    const Tensor& top = Find(recorded, id + ".top20_logprobs_f64");
    const auto prompt_size = static_cast<int64_t>(found->ids.size());
    for (int64_t t = 0; t < std::min((*logits)->shape[0], top.shape[0] - prompt_size + 1); ++t) {
      const auto row = (*logits)->As<float>().subspan(static_cast<size_t>(t) * 1024, 1024);
      const PositionStat stat = StatOf(row, -1);
      EXPECT_NEAR(stat.max - stat.lse,
                  top.As<double>()[static_cast<size_t>((prompt_size - 1 + t) * 20)], 1e-5)
          << id << " position " << t;
      ++judged;
    }
  }
  EXPECT_GT(judged, 100);
}

}  // namespace
}  // namespace crosscheck::quality
