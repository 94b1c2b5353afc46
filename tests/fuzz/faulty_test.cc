// Every planted fault is found by smoke, reduced to its known minimum, written down and replayed.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "engines/faults/fault.h"
#include "engines/faulty_engine.h"
#include "fuzz/corpus_store.h"
#include "fuzz/run_case.h"
#include "fuzz/smoke.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "properties/subjects/generation.h"
#include "properties/subjects/loader.h"
#include "properties/subjects/lora.h"
#include "properties/subjects/model_run.h"
#include "properties/subjects/session.h"
#include "properties/subjects/weight_format.h"

namespace crosscheck {
namespace {

// The smallest case that shows a fault, known from its definition (engines/faults/). Each path is a
// finding of its own. Sequences and tokens are reached in every one. A numeric fault also has
// larger cases that no single step makes smaller: two equal tokens show a wrong rotation only
// behind a layer that tells their positions apart, and the weights of a smaller shape may hide it.
// So layers, heads, vocabulary and dimensions are reached in at least one finding of a numeric
// fault, and in every finding of the others.
struct Minimum {
  int layers = 1, sequences = 1, tokens = 1;  // tokens: of all sequences, padding included
  int vocab = 2, heads = 1, head_dim = 2, hidden = 1;
  // The one token that matters may stand in the padding, in front of the one real token that a
  // sequence has.
  bool in_padding = false;
  // Every shape draws other weights, and only some show the fault: then all numbers are limits.
  bool by_chance = false;
  int steps = 0;    // of a session program, or tokens to generate; at most
  int changes = 0;  // of files, where the subject is loader
};

struct PlantedFault {
  std::string_view name;
  ErrorClass error;
  Minimum minimum;
  int64_t cases = 64;
  double deadline_seconds = 10;
  std::string_view property = "logit_closeness";
  std::vector<ErrorClass> also = {};  // further classes of the same fault
};

void PrintTo(const PlantedFault& fault, std::ostream* out) { *out << fault.name; }

// A fault that ends the process makes every failing evaluation start a new one, hence fewer cases.
constexpr int64_t kFewCases = 4;

const PlantedFault kFaults[] = {
    {.name = "rope_pairing",
     .error = ErrorClass::kNumeric,
     .minimum = {.tokens = 2, .vocab = 3, .head_dim = 4, .hidden = 4}},
    {.name = "expert_off_by_one",
     .error = ErrorClass::kNumeric,
     .minimum = {.vocab = 3, .hidden = 4}},
    {.name = "shared_gate", .error = ErrorClass::kNumeric, .minimum = {}},
    {.name = "token_logit",
     .error = ErrorClass::kNumeric,
     .minimum = {.vocab = 4, .in_padding = true}},
    {.name = "future_leak", .error = ErrorClass::kNumeric, .minimum = {.tokens = 2}},
    {.name = "stale_state",
     .error = ErrorClass::kNumeric,
     .minimum = {.sequences = 2, .tokens = 2, .hidden = 5}},
    {.name = "nan", .error = ErrorClass::kNonfinite, .minimum = {.tokens = 3}},
    {.name = "panic", .error = ErrorClass::kPanic, .minimum = {.layers = 2}},
    {.name = "allocate",
     .error = ErrorClass::kMemory,
     .minimum = {.vocab = 11, .in_padding = true}},
    {.name = "crash", .error = ErrorClass::kCrash, .minimum = {.tokens = 5}, .cases = kFewCases},
    {.name = "garbage",
     .error = ErrorClass::kProtocol,
     .minimum = {.tokens = 3},
     .cases = kFewCases},
    {.name = "second_token",
     .error = ErrorClass::kToken,
     .minimum = {.vocab = 3},
     .property = "greedy_prefix"},
    {.name = "extra_token",
     .error = ErrorClass::kProtocol,
     .minimum = {.hidden = 2, .steps = 1},
     .cases = kFewCases,
     .property = "generation_contract"},
    {.name = "eos_included",
     .error = ErrorClass::kToken,
     .minimum = {.hidden = 2, .steps = 2},
     .property = "generation_contract"},
    {.name = "shifted_logprobs",
     .error = ErrorClass::kNumeric,
     .minimum = {.vocab = 4, .hidden = 4, .steps = 2},  // two tokens of unequal probability, EOS
     .property = "generation_contract"},
    {.name = "dirty_refusal",
     .error = ErrorClass::kRejection,
     .minimum = {.hidden = 2, .steps = 6},
     .cases = 128,
     .property = "session_protocol",
     .also = {ErrorClass::kState, ErrorClass::kNumeric}},
    {.name = "half_prefill",
     .error = ErrorClass::kNumeric,
     .minimum = {.layers = 2, .vocab = 8, .hidden = 8, .by_chance = true, .steps = 4},
     .cases = 192,
     .property = "session_protocol"},
    {.name = "shared_cache",
     .error = ErrorClass::kToken,
     .minimum = {.sequences = 2, .hidden = 2, .steps = 6},
     .property = "session_protocol",
     .also = {ErrorClass::kNumeric}},
    {.name = "hidden_leak",
     .error = ErrorClass::kState,
     .minimum = {.tokens = 2},
     .property = "causality"},
    {.name = "nll_leak",
     .error = ErrorClass::kState,
     .minimum = {.tokens = 3},
     .property = "causality",
     .also = {ErrorClass::kNumeric}},
    {.name = "request_trace",
     .error = ErrorClass::kState,
     .minimum = {.tokens = 3},
     .property = "determinism"},
    {.name = "unseeded",
     .error = ErrorClass::kToken,
     .minimum = {.vocab = 3},
     .property = "determinism"},
    {.name = "padding_row",
     .error = ErrorClass::kNumeric,
     .minimum = {.vocab = 2},
     .property = "vocabulary_permutation"},
    {.name = "first_step",
     .error = ErrorClass::kNumeric,
     .minimum = {.tokens = 2},
     .property = "prefill_decode"},
    {.name = "lora_alpha",
     .error = ErrorClass::kNumeric,
     .minimum = {.hidden = 2},
     .property = "lora_merge"},
    {.name = "lora_module",
     .error = ErrorClass::kNumeric,
     .minimum = {.hidden = 2},
     .property = "lora_merge"},
    {.name = "lora_stays", .error = ErrorClass::kNumeric, .minimum = {}, .property = "lora_merge"},
    // Coarser codes have to turn an argmax over.
    {.name = "int8_scale_of_tensor",
     .error = ErrorClass::kToken,
     .minimum = {.layers = 2,
                 .tokens = 4,
                 .vocab = 8,
                 .heads = 4,
                 .head_dim = 8,
                 .hidden = 16,
                 .by_chance = true},
     .cases = 512,
     .property = "path_agreement"},
    {.name = "hang",
     .error = ErrorClass::kTimeout,
     .minimum = {.tokens = 2},
     .cases = kFewCases,
     .deadline_seconds = 0.3},
    {.name = "missing_as_zeros",
     .error = ErrorClass::kWeights,
     .minimum = {.changes = 1},
     .cases = 256,
     .property = "loader"},
    {.name = "bf16_as_f16",
     .error = ErrorClass::kNumeric,
     .minimum = {.changes = 0},
     .property = "loader"},
    {.name = "dies_on_truncation",
     .error = ErrorClass::kCrash,
     .minimum = {.changes = 1},
     .cases = 256,
     .property = "loader"},
    {.name = "allocates_by_header",
     .error = ErrorClass::kMemory,
     .minimum = {.changes = 1},
     .cases = 256,
     .property = "loader"},
    {.name = "refuses_extra_tensors",
     .error = ErrorClass::kRejection,
     .minimum = {.changes = 1},
     .cases = 2000,
     .property = "loader"},
};

int Replays() {
  const char* text = std::getenv("CROSSCHECK_REPLAYS");
  return text == nullptr ? 5 : std::max(1, std::atoi(text));
}

// What minima speak of, whatever the subject is.
struct Extent {
  const ModelSpec& spec;
  size_t sequences, tokens;
  bool padded;
};

Extent ExtentOf(const Case& value) {
  if (&value.subject() == &LoraSubject()) {
    const auto& c = value.As<LoraCase>();
    return {c.model->spec, 1, c.ids.size(), false};
  }
  if (&value.subject() == &WeightFormatSubject()) {
    const auto& c = value.As<WeightFormatCase>();
    return {c.model->spec, 1, c.ids.size(), false};
  }
  if (&value.subject() == &SessionSubject()) {
    return {value.As<SessionCase>().model->spec, 1, 0, false};
  }
  if (&value.subject() == &GenerationSubject()) {
    return {value.As<GenerationCase>().model->spec, 1, value.As<GenerationCase>().ids.size(),
            false};
  }
  if (&value.subject() == &LoaderSubject()) {
    return {value.As<LoaderCase>().model.spec, 1, value.As<LoaderCase>().ids.size(), false};
  }
  const auto& c = value.As<ModelRunCase>();
  size_t tokens = 0;
  for (const SequenceCase& s : c.sequences) {
    tokens += s.ids.size() + static_cast<size_t>(s.left_padding);
  }
  return {c.model->spec, c.sequences.size(), tokens, c.sequences[0].left_padding > 0};
}

class FaultyTest : public testing::TestWithParam<PlantedFault> {
 protected:
  void SetUp() override {
    out_ = testing::TempDir() + "faulty_test." + std::to_string(getpid());
    std::filesystem::remove_all(out_);
  }
  void TearDown() override { std::filesystem::remove_all(out_); }

  SmokeOptions Options() const {
    SmokeOptions options;
    options.executor.engine = "faulty:" + std::string(GetParam().name);
    options.executor.deadline_seconds = GetParam().deadline_seconds;
    options.executor.references = ReferenceUse::kLazy;
    options.properties = {FindProperty(GetParam().property)};
    options.cases = GetParam().cases;
    options.cases_per_model = 1;
    options.jobs = 1;
    options.out = out_;
    options.minimise.max_seconds = 600;
    return options;
  }

  static void ExpectFewestTokens(const Case& value) {
    const Minimum& minimum = GetParam().minimum;
    const Extent extent = ExtentOf(value);
    const auto tokens = static_cast<size_t>(minimum.tokens + (minimum.in_padding && extent.padded));
    EXPECT_EQ(extent.sequences, static_cast<size_t>(minimum.sequences));
    EXPECT_LE(extent.tokens, tokens);
    EXPECT_TRUE(minimum.by_chance || extent.tokens == tokens) << extent.tokens << " tokens";
  }

  static void ExpectFewestSteps(const SessionCase& c) {
    EXPECT_EQ(c.sequences, GetParam().minimum.sequences);
    EXPECT_LE(c.steps.size(), static_cast<size_t>(GetParam().minimum.steps));
  }

  static void ExpectFewestChanges(const LoaderCase& c) {
    EXPECT_EQ(c.mutations.size(), static_cast<size_t>(GetParam().minimum.changes));
    EXPECT_EQ(c.ids.size(), static_cast<size_t>(GetParam().minimum.tokens));
  }

  static bool HasSmallestModel(const Case& value) {
    const Minimum& minimum = GetParam().minimum;
    const ModelSpec& spec = ExtentOf(value).spec;
    return static_cast<int>(spec.layers.size()) <= minimum.layers && spec.vocab <= minimum.vocab &&
           std::max({spec.heads, spec.linear_key_heads, spec.linear_value_heads}) <=
               minimum.heads &&
           spec.head_dim <= minimum.head_dim && spec.hidden <= minimum.hidden;
  }

  void ExpectSameVerdictInEveryReplay(const CorpusEntry& entry) const {
    const auto executor = Executor::Create(Options().executor);
    ASSERT_TRUE(executor.ok()) << executor.status();
    for (int i = 0; i < Replays(); ++i) {
      const Verdict verdict = RunCase(*FindProperty(GetParam().property), entry.value, **executor);
      ASSERT_EQ(verdict.kind, entry.verdict) << "replay " << i << ": " << verdict.message;
      ASSERT_EQ(verdict.signature, entry.signature) << "replay " << i;
    }
  }

  std::string out_;
};

TEST_P(FaultyTest, IsFoundMinimisedKeptAndReplayed) {
  const absl::StatusOr<SmokeReport> report = RunSmoke(Options());
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->findings.empty());
  EXPECT_THAT(report->errors, testing::IsEmpty());
  // The run goes on after a finding.
  EXPECT_TRUE(report->complete);
  EXPECT_EQ(report->properties[0].cases, GetParam().cases);
  EXPECT_LT(report->findings[0].first_case, GetParam().cases - 1);
  EXPECT_GT(report->properties[0].passed, 0);
  size_t smallest_models = 0;
  std::string reduced;
  for (const SmokeFinding& finding : report->findings) {
    SCOPED_TRACE(finding.signature.ToString());
    EXPECT_TRUE(finding.signature.error == GetParam().error ||
                std::ranges::count(GetParam().also, finding.signature.error) == 1);
    EXPECT_TRUE(finding.minimal);
    EXPECT_FALSE(finding.marginal);
    const absl::StatusOr<CorpusEntry> entry = ReadEntry(finding.case_file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    SCOPED_TRACE(PrintEntry(*entry));
    if (&entry->value.subject() == &SessionSubject()) {
      ExpectFewestSteps(entry->value.As<SessionCase>());
    } else if (&entry->value.subject() == &GenerationSubject()) {
      const auto& c = entry->value.As<GenerationCase>();
      EXPECT_EQ(c.ids.size(), static_cast<size_t>(GetParam().minimum.tokens));
      EXPECT_LE(c.max_tokens, GetParam().minimum.steps);
    } else if (&entry->value.subject() == &LoaderSubject()) {
      ExpectFewestChanges(entry->value.As<LoaderCase>());
    } else {
      ExpectFewestTokens(entry->value);
    }
    smallest_models += HasSmallestModel(entry->value);
    reduced += PrintEntry(*entry);
    ExpectSameVerdictInEveryReplay(*entry);
  }
  const bool numeric = GetParam().error == ErrorClass::kNumeric ||
                       std::ranges::count(GetParam().also, ErrorClass::kNumeric) == 1;
  EXPECT_GE(smallest_models, numeric ? 1 : report->findings.size()) << reduced;
}

INSTANTIATE_TEST_SUITE_P(Every, FaultyTest, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FaultyControlTest, EveryFaultIsTested) {
  std::vector<std::string_view> tested = {"none"};
  tested.reserve(1 + std::size(kFaults));
  for (const PlantedFault& fault : kFaults) tested.push_back(fault.name);
  // faulty_sampler_test.cc tests those of sampling.
  for (const Fault& fault : SamplerFaults()) tested.push_back(fault.name);
  // Of whole checkpoints: tests/quality/planted_faults_test.cc.
  tested.insert(tested.end(), {"decode_rows", "lora_ignored"});
  EXPECT_THAT(tested, testing::UnorderedElementsAreArray(FaultNames()));
}

TEST(FaultyControlTest, DecoratorWithoutAFaultHasNoFindings) {
  SmokeOptions options;
  options.executor.engine = "faulty:none";
  options.executor.references = ReferenceUse::kLazy;
  options.properties = {FindProperty("logit_closeness")};
  options.cases = 64;
  options.jobs = 1;
  const absl::StatusOr<SmokeReport> report = RunSmoke(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->findings.empty());
  EXPECT_EQ(report->properties[0].passed, 64);
}

}  // namespace
}  // namespace crosscheck
