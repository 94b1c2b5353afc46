// Two recorded dumps without a model: those that another tool writes, and our own in every mode.
#include "quality/compare_dumps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "reference/safetensors.h"
#include "tests/own_folder.h"
#include "tests/quality/documented_writer.h"

namespace crosscheck::quality {
namespace {

using testing::AllOf;
using testing::HasSubstr;

double Value(const ConfigurationResult& result, const std::string& metric) {
  const auto found = result.metrics.find(metric);
  return found == result.metrics.end() ? std::nan("") : found->second.value;
}

absl::StatusOr<Comparison> CompareTwo(const std::string& reference, const std::string& candidate) {
  CompareOptions options;
  options.recorded = {.reference = reference, .candidates = {candidate}, .noise = ""};
  return CompareDumps(options);
}

// Dumps by the program of docs/dump_format.md: twelve prompts, a bigram model of fifty tokens.
class ForeignDumpsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!writer_.ok()) GTEST_SKIP() << "no Python with NumPy; ci/setup installs python3-numpy";
    Write("reference", "");
  }

  // `change` is Python between the model and the writing of its dump, `after` follows it.
  void Write(const std::string& name, const std::string& change, const std::string& after = "") {
    ASSERT_TRUE(writer_.Run(Path(name), R"(
vocab, rng = 50, np.random.default_rng(1)
table = rng.normal(0, 3, (vocab, vocab)).astype(np.float32)
prompts = [{"id": f"p{i}", "ids": [1 + i, 2, 3], "continuation": rng.integers(0, 50, 7).tolist()} for i in range(12)]
def logits_of(ids): return table[ids]
)" + change + "\nwrite_dump(folder, vocab, prompts, logits_of)\n" +
                                            after));
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  absl::StatusOr<Comparison> CompareWith(const std::string& change, const std::string& after = "") {
    Write("candidate", change, after);
    return CompareTwo(Path("reference"), Path("candidate"));
  }

  std::string RefusalOf(const std::string& change, const std::string& after = "") {
    const auto comparison = CompareWith(change, after);
    std::filesystem::remove_all(Path("candidate"));
    if (comparison.ok()) return "not refused";
    EXPECT_THAT(std::string(comparison.status().message()), testing::StartsWith("SETUP_ERROR: "));
    return std::string(comparison.status().message());
  }

  const OwnFolder folder_;
  DocumentedWriter writer_{folder_.path()};
};

TEST_F(ForeignDumpsTest, EqualDumpsGiveExactZerosAndOnes) {
  const auto comparison = CompareWith("");
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const ConfigurationResult& same = comparison->configurations[0];
  for (const char* zero : {"kl_mean", "kl_max", "reverse_kl_mean", "total_variation_mean",
                           "delta_p_rms", "delta_p_mean"}) {
    EXPECT_EQ(Value(same, zero), 0) << zero;
  }
  for (const char* one : {"top1_agreement", "top5_overlap", "top10_overlap", "top100_overlap"}) {
    EXPECT_EQ(Value(same, one), 1) << one;
  }
  EXPECT_EQ(same.metrics.at("kl_mean").clusters, 12);
  EXPECT_EQ(same.metrics.at("kl_mean").count, 96);
  EXPECT_THAT(same.findings, testing::IsEmpty());
}

TEST_F(ForeignDumpsTest, AChangedLogitIsSeenWhereItIs) {
  const auto comparison = CompareWith("table[prompts[4]['continuation'][6], 9] += 2");
  ASSERT_TRUE(comparison.ok()) << comparison.status();
  const ConfigurationResult& other = comparison->configurations[0];
  EXPECT_GT(Value(other, "kl_mean"), 0);
  ASSERT_FALSE(other.worst.empty());
  bool named = false;
  for (const WorstPosition& worst : other.worst) named |= worst.item == "p4" && worst.position == 7;
  EXPECT_TRUE(named);
}

TEST_F(ForeignDumpsTest, APaddedVocabularyIsCutAndALargerOneIsAFinding) {
  const std::string wider = "vocab = 60; table = np.concatenate([table, np.full((50, 10), ";
  const auto padded = CompareWith(wider + "-100, np.float32)], 1)");
  ASSERT_TRUE(padded.ok()) << padded.status();
  EXPECT_EQ(Value(padded->configurations[0], "kl_mean"), 0);
  EXPECT_THAT(padded->configurations[0].findings, testing::IsEmpty());
  std::filesystem::remove_all(Path("candidate"));
  const auto larger = CompareWith(wider + "1, np.float32)], 1)");
  ASSERT_TRUE(larger.ok()) << larger.status();
  ASSERT_EQ(larger->configurations[0].findings.size(), 1U);
  EXPECT_EQ(larger->configurations[0].findings[0].kind, "vocabulary");
  EXPECT_THAT(larger->configurations[0].findings[0].text, HasSubstr("50 and 60"));
}

TEST_F(ForeignDumpsTest, OtherQuestionsAreRefusedWithBothValues) {
  EXPECT_THAT(RefusalOf("prompts[3]['ids'][1] = 7"),
              AllOf(HasSubstr("\"p3\""), HasSubstr("[2,3] and [7,3]")));
  EXPECT_THAT(RefusalOf("prompts.pop()"), HasSubstr("12 and 11 prompts"));
  EXPECT_THAT(RefusalOf("prompts[0]['id'] = 'q'"), HasSubstr("\"p0\" and \"q\""));
  EXPECT_THAT(RefusalOf("prompts[5]['continuation'][2] = 49"),
              AllOf(HasSubstr("forced.000005.ids, place 5"), HasSubstr(" and 49")));
}

TEST_F(ForeignDumpsTest, OtherTargetsAndIdsOutsideTheVocabularyAreRefused) {
  const std::string rewrite = R"(
os.remove(f'{folder}/done.jsonl')
items = []
for prompt in prompts:
    targets = np.array(prompt['continuation'] + [CHANGED], np.int32)
    ids = np.array(prompt['ids'] + prompt['continuation'], np.int32)
    logits = logits_of(ids)[-8:]
    items.append({'ids': ids, 'targets': targets, 'stat': stat_of(logits, targets), 'logits': logits})
write_shard(folder, 'forced', 0, items)
)";
  EXPECT_THAT(RefusalOf("", "CHANGED = 4" + rewrite),
              AllOf(HasSubstr("forced.000000.targets, place 7: -1 and 4")));
  EXPECT_THAT(RefusalOf("", "CHANGED = -2" + rewrite),
              AllOf(HasSubstr("targets: place 7 is -2"), HasSubstr("50 tokens")));
}

TEST_F(ForeignDumpsTest, TwoTokenizersAreNamedWithBothSplits) {
  const std::string text = R"(
with open(f'{folder}/prompts.jsonl', 'w') as file:
    file.writelines(json.dumps({'id': p['id'], 'text': 'Good day', 'ids': p['ids']}) + '\n' for p in prompts)
)";
  std::filesystem::remove_all(Path("reference"));
  Write("reference", "", text);
  EXPECT_THAT(RefusalOf("prompts[0]['ids'] = [1, 23]", text),
              AllOf(HasSubstr("two tokenizers"), HasSubstr("Good day"), HasSubstr("p0"),
                    HasSubstr("[2,3] and [23]")));
}

TEST_F(ForeignDumpsTest, ValuesThatAreNoLogitsAreRefusedUnlessTheCandidateCountsThem) {
  EXPECT_THAT(RefusalOf("table[3, 4] = np.nan"), HasSubstr("NaN"));
  const std::string stat = R"(
own = stat_of
def stat_of(logits, targets):
    stat = own(np.nan_to_num(logits, nan=-1e9), targets)
    stat[:, 7] = np.isnan(logits).sum(1)
    return stat
table[3, 4] = np.nan
)";
  const auto counted = CompareWith(stat);
  ASSERT_TRUE(counted.ok()) << counted.status();
  ASSERT_EQ(counted->configurations[0].findings.size(), 1U);
  EXPECT_EQ(counted->configurations[0].findings[0].kind, "non-finite");
  EXPECT_THAT(std::string(CompareTwo(Path("candidate"), Path("reference")).status().message()),
              HasSubstr("the reference has values that are no logits"));
}

TEST_F(ForeignDumpsTest, AnLseThatIsNotThatOfTheLogitsIsRefused) {
  const std::string shifted = R"(
own = stat_of
def stat_of(logits, targets):
    stat = own(logits, targets)
    stat[:, 0] += SHIFT
    return stat
)";
  EXPECT_THAT(RefusalOf("SHIFT = 1e-5" + shifted),
              AllOf(HasSubstr("lse is "), HasSubstr("of the stored logits ")));
  EXPECT_EQ(RefusalOf("SHIFT = 1e-7" + shifted), "not refused");
  EXPECT_THAT(RefusalOf("SHIFT = np.nan" + shifted), HasSubstr("lse is nan"));
}

TEST_F(ForeignDumpsTest, ACutShardAMissingLineAndAMissingShardAreRefused) {
  const std::string two = R"(
os.remove(f'{folder}/done.jsonl')
def item(p):
    targets, ids = np.array(p['continuation'] + [-1], np.int32), np.array(p['ids'] + p['continuation'], np.int32)
    return {'ids': ids, 'targets': targets, 'stat': stat_of(logits_of(ids)[-8:], targets), 'logits': logits_of(ids)[-8:]}
items = [item(p) for p in prompts]
for first in (0, 4, 8): write_shard(folder, 'forced', first, items[first:first + 4])
lines = open(f'{folder}/done.jsonl').readlines()
shard = f'{folder}/shards/forced.000004-000007.safetensors'
)";
  EXPECT_EQ(RefusalOf("", two), "not refused");
  EXPECT_THAT(RefusalOf("", two + "os.truncate(shard, os.path.getsize(shard) - 10)"),
              AllOf(HasSubstr("forced.000004-000007"), HasSubstr("cut or was changed")));
  EXPECT_THAT(RefusalOf("", two + "os.remove(shard)"), HasSubstr("is not there"));
  EXPECT_THAT(RefusalOf("", two + "open(f'{folder}/done.jsonl', 'w').writelines(lines[::2])"),
              HasSubstr("no line has items 4 to 7 of track forced"));
  EXPECT_THAT(RefusalOf("", two + "open(f'{folder}/done.jsonl', 'w').writelines(lines[:2])"),
              HasSubstr("12 and 8 items"));
}

TEST_F(ForeignDumpsTest, ManifestsOfOtherThingsAreRefused) {
  const auto with = [](const std::string& change) {
    return "m = json.load(open(f'{folder}/manifest.json')); " + change +
           "; json.dump(m, open(f'{folder}/manifest.json', 'w'))";
  };
  EXPECT_THAT(RefusalOf("", with("m['stat_columns'][0] = 'logsumexp'")),
              AllOf(HasSubstr("logsumexp"), HasSubstr("\"lse\"")));
  EXPECT_THAT(RefusalOf("", with("m['model']['vocab'] = -4")), HasSubstr("/model/vocab is -4"));
  EXPECT_THAT(RefusalOf("", with("m['model']['vocab'] = 51")), HasSubstr("[8, 51]"));
  EXPECT_THAT(RefusalOf("", with("m['mode'] = 'bf16'")), HasSubstr("bf16"));
  EXPECT_THAT(RefusalOf("", with("m['prompts_sha256'] = 'abc'")), HasSubstr("abc"));
  EXPECT_THAT(RefusalOf("", with("m['mode'] = 'scalars'; m['model']['vocab'] = 40")),
              testing::AnyOf(HasSubstr("the vocabulary has 40"), HasSubstr("50 and 40")));
  std::filesystem::remove_all(Path("reference"));
  Write("reference", "", with("m['model']['files'] = {'model.safetensors': 'aa'}"));
  EXPECT_THAT(RefusalOf("", with("m['model']['files'] = {'model.safetensors': 'bb'}")),
              AllOf(HasSubstr("\"aa\" and \"bb\""), HasSubstr("/model/of")));
  EXPECT_EQ(RefusalOf("", with("m['model'].update(files={'model.safetensors': 'bb'}, "
                               "of={'model.safetensors': 'aa'})")),
            "not refused");
}

TEST_F(ForeignDumpsTest, NumbersThatNoTrackCanHaveAreRefused) {
  for (const char* tokens : {"-1", "4294967306", "'ten'"}) {
    std::filesystem::remove_all(Path("reference"));
    Write("reference", "",
          absl::StrCat("m = json.load(open(f'{folder}/manifest.json')); "
                       "m.setdefault('tracks', {})['greedy'] = {'tokens': ",
                       tokens, "}; json.dump(m, open(f'{folder}/manifest.json', 'w'))"));
    EXPECT_THAT(RefusalOf(""), HasSubstr("/tracks/greedy/tokens is ")) << tokens;
  }
}

TEST_F(ForeignDumpsTest, MoreItemsThanAShardCanHoldAreRefused) {
  const std::string claim = R"(
lines = open(f'{folder}/done.jsonl').readlines()
done = json.loads(lines[-1])
shard = f'{folder}/shards/' + done['track'] + '.%06d-%06d.safetensors'
os.rename(shard % (done['first'], done['last'] - 1), shard % (done['first'], 2**31 - 2))
done['last'] = 2**31 - 1
open(f'{folder}/done.jsonl', 'w').writelines(lines[:-1] + [json.dumps(done) + chr(10)])
)";
  EXPECT_THAT(RefusalOf("", claim), HasSubstr("can hold"));
}

constexpr char kModel[] = "seeds/checkpoints/tiny-qwen35";

CompareOptions OwnDumps(const std::string& out, LogitMode mode) {
  CompareOptions options;
  options.model = kModel;
  options.inputs.prompts_file = std::string(kModel) + "/prompts.jsonl";
  options.inputs.limit = 3;
  options.out = out;
  options.mode = mode;
  options.greedy_tokens = options.forced_positions = 12;
  options.layer_prompts = 1;
  options.sampled_prompts = 1;
  options.sampled_seeds = 4;
  options.configurations = {*ParseConfiguration("q4_sym", "torch:fp32")};
  return options;
}

class OwnDumpsTest : public testing::TestWithParam<LogitMode> {};

// What needs the reference's model beside its dump.
bool NeedsModel(const std::string& metric) { return metric == "excess_nll"; }

TEST_P(OwnDumpsTest, RecordedDumpsGiveTheNumbersOfTheRunThatMadeThem) {
  const OwnFolder folder;
  CompareOptions options = OwnDumps(folder.path(), GetParam());
  const bool has_tokenizer = Tokenizer::Load(kModel).ok();
  if (has_tokenizer) {  // windows of unequal weights
    options.inputs.text_file = std::string(kModel) + "/heldout.txt";
    options.inputs.text_tokens = 100;
    options.inputs.windows = {.scheme = Scheme::kHf, .length = 48, .stride = 32};
  }
  const auto live = Compare(options);
  ASSERT_TRUE(live.ok()) << live.status();
  options.recorded = {.reference = folder.path() + "/dumps/reference",
                      .candidates = {folder.path() + "/dumps/q4_sym"},
                      .noise = folder.path() + "/dumps/noise-floor"};
  if (!has_tokenizer) options.model.clear();
  const auto recorded = CompareDumps(options);
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  const ConfigurationResult &a = live->configurations[0], &b = recorded->configurations[0];
  for (const auto& [name, estimate] : a.metrics) {
    if (NeedsModel(name)) continue;
    // A dump that keeps no logits cannot say how near a tie was.
    if (GetParam() != LogitMode::kFull && name.starts_with("greedy_match_margin")) continue;
    if (name.starts_with("bleu") || name.starts_with("garbled")) continue;
    if (name.starts_with("perplexity")) EXPECT_TRUE(std::isfinite(estimate.value)) << name;
    ASSERT_TRUE(b.metrics.contains(name)) << name;
    EXPECT_EQ(estimate.value, b.metrics.at(name).value) << name;
  }
  EXPECT_EQ(b.findings.size(), a.findings.size());
  ASSERT_FALSE(b.layers.empty());
  EXPECT_EQ(b.layers[0].cosine_mean, a.layers[0].cosine_mean);
}

INSTANTIATE_TEST_SUITE_P(Modes, OwnDumpsTest,
                         testing::Values(LogitMode::kFull, LogitMode::kTopK, LogitMode::kScalars),
                         [](const auto& info) {
                           return std::string(kLogitModeNames[static_cast<size_t>(info.param)]);
                         });

TEST(DumpModesTest, WhatTwoModesDefineIsMeasuredAndTheRestIsNamed) {
  const OwnFolder exact[3], rounded;
  std::vector<std::string> references;
  for (const LogitMode mode : {LogitMode::kFull, LogitMode::kTopK, LogitMode::kScalars}) {
    CompareOptions options = OwnDumps(exact[static_cast<size_t>(mode)].path(), mode);
    options.configurations.clear();
    options.top_k = 64;
    options.tail_samples = 32;
    ASSERT_TRUE(Compare(options).ok());
    references.push_back(options.out + "/dumps/reference");
  }
  CompareOptions options = OwnDumps(rounded.path(), LogitMode::kFull);
  options.configurations.clear();
  options.reference = "torch:fp32";
  ASSERT_TRUE(Compare(options).ok());
  const std::string candidate = rounded.path() + "/dumps/reference";
  const auto full = CompareTwo(references[0], candidate);
  const auto top = CompareTwo(references[1], candidate);
  const auto scalars = CompareTwo(references[2], candidate);
  ASSERT_TRUE(full.ok() && top.ok() && scalars.ok());
  const double kl = Value(full->configurations[0], "kl_mean");
  EXPECT_GT(kl, 0);
  EXPECT_LT(kl, 1e-9);
  // Both are rounding; how well the draws estimate a real divergence is compare_test's question.
  EXPECT_LT(Value(top->configurations[0], "kl_mean"), 1e-9);
  EXPECT_TRUE(std::isnan(Value(top->configurations[0], "total_variation_mean")));
  EXPECT_TRUE(std::isnan(Value(scalars->configurations[0], "kl_mean")));
  EXPECT_EQ(Value(scalars->configurations[0], "top1_agreement"), 1);
  EXPECT_THAT(scalars->configurations[0].skips,
              testing::Contains(testing::Field(&Skip::track, "KL, forced")));
  const auto same = CompareTwo(references[1], references[1]);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(Value(same->configurations[0], "kl_mean"), 0);
  EXPECT_TRUE(std::isnan(Value(same->configurations[0], "top10_overlap")));
  const auto undefined = CompareTwo(references[0], references[1]);
  ASSERT_TRUE(undefined.ok()) << undefined.status();
  EXPECT_TRUE(std::isnan(Value(undefined->configurations[0], "kl_mean")));
}

}  // namespace
}  // namespace crosscheck::quality
