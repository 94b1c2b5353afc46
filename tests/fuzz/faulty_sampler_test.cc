// Every planted fault of sampling is found by smoke, reduced, written down and replayed.

#include "engines/faults/fault.h"
#include "fuzz/corpus_store.h"
#include "fuzz/run_case.h"
#include "fuzz/smoke.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "properties/subjects/sampler.h"
#include "tests/own_folder.h"

namespace crosscheck {
namespace {

struct Planted {
  std::string_view name;
  ErrorClass error;
  SamplerMode mode;  // of the first finding
  int vocab;         // of the smallest case, at most
  int64_t cases = 48;
  // Each evaluation of a statistical finding draws two fresh blocks, so that only its first steps
  // fit into a test.
  int evaluations = 2000;
  // With a repetition penalty a token that the fault repeats may have left the support.
  bool also_support = false;
};

void PrintTo(const Planted& fault, std::ostream* out) { *out << fault.name; }

constexpr int kFewEvaluations = 12;

const Planted kFaults[] = {
    {.name = "sampler_bias",
     .error = ErrorClass::kDistribution,
     .mode = SamplerMode::kStream,
     .vocab = 128,
     .evaluations = kFewEvaluations,
     .also_support = true},
    {.name = "ignored_seed",
     .error = ErrorClass::kDistribution,
     .mode = SamplerMode::kSeeds,
     .vocab = 64,
     .evaluations = kFewEvaluations},
    {.name = "correlated_stream",
     .error = ErrorClass::kDistribution,
     .mode = SamplerMode::kStream,
     .vocab = 64,
     .evaluations = kFewEvaluations,
     .also_support = true},
    {.name = "top_p_off_by_one",
     .error = ErrorClass::kSupport,
     .mode = SamplerMode::kStream,
     .vocab = 2},
    {.name = "scaled_uniforms",
     .error = ErrorClass::kToken,
     .mode = SamplerMode::kInvert,
     .vocab = 2},
    {.name = "ignored_top_k",
     .error = ErrorClass::kSupport,
     .mode = SamplerMode::kGenerate,
     .vocab = 2},
};

class FaultySamplerTest : public testing::TestWithParam<Planted> {
 protected:
  SmokeOptions Options() const {
    SmokeOptions options;
    options.executor.engine = "faulty:" + std::string(GetParam().name);
    options.properties = {FindProperty("sampler_distribution")};
    options.cases = GetParam().cases;
    options.cases_per_model = 4;
    options.jobs = 1;
    options.out = out_;
    options.minimise.max_seconds = 600;
    options.minimise.max_evaluations = GetParam().evaluations;
    return options;
  }

  const OwnFolder own_;
  const std::string out_ = own_.path();
};

TEST_P(FaultySamplerTest, IsFoundReducedKeptAndReplayed) {
  const absl::StatusOr<SmokeReport> report = RunSmoke(Options());
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->findings.empty());
  EXPECT_THAT(report->errors, testing::IsEmpty());
  EXPECT_GT(report->properties[0].passed, 0);
  const bool all_steps = GetParam().evaluations != kFewEvaluations;
  for (const SmokeFinding& finding : report->findings) {
    SCOPED_TRACE(finding.signature.ToString() + ": " + finding.message);
    const bool support = GetParam().also_support && finding.signature.error == ErrorClass::kSupport;
    EXPECT_TRUE(support || finding.signature.error == GetParam().error);
    const absl::StatusOr<CorpusEntry> entry = ReadEntry(finding.case_file);
    ASSERT_TRUE(entry.ok()) << entry.status();
    const auto& c = entry->value.As<SamplerCase>();
    SCOPED_TRACE(PrintEntry(*entry));
    const int vocab = c.generations.empty() ? c.logits.vocab : c.generations[0].model.spec.vocab;
    EXPECT_LE(vocab, GetParam().vocab);
    EXPECT_EQ(finding.minimal, all_steps);
    const auto executor = Executor::Create(Options().executor);
    ASSERT_TRUE(executor.ok()) << executor.status();
    const Verdict verdict =
        RunCase(*FindProperty("sampler_distribution"), entry->value, **executor);
    EXPECT_EQ(verdict.signature, entry->signature) << verdict.message;
  }
  const auto first = ReadEntry(report->findings[0].case_file);
  EXPECT_EQ(first->value.As<SamplerCase>().mode, GetParam().mode);
}

INSTANTIATE_TEST_SUITE_P(Every, FaultySamplerTest, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FaultySamplerControlTest, EveryFaultOfSamplingIsTested) {
  std::vector<std::string_view> tested, planted;
  for (const Planted& fault : kFaults) tested.push_back(fault.name);
  // Smaller than these cases can show: tests/quality/planted_faults_test.cc draws more.
  tested.push_back("sampler_temperature");
  for (const Fault& fault : SamplerFaults()) planted.push_back(fault.name);
  EXPECT_THAT(tested, testing::UnorderedElementsAreArray(planted));
}

// The fault is the only difference: the same engine without it passes the same cases.
TEST(FaultySamplerControlTest, DecoratorWithoutAFaultHasNoFindings) {
  SmokeOptions options;
  options.executor.engine = "faulty:none";
  options.properties = {FindProperty("sampler_distribution")};
  options.cases = 48;
  options.cases_per_model = 4;
  options.jobs = 1;
  const absl::StatusOr<SmokeReport> report = RunSmoke(options);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->findings.empty());
  EXPECT_GT(report->properties[0].passed, 40);
}

}  // namespace
}  // namespace crosscheck
