// Engines against goldens: clean ones agree, planted faults are noticed, what is not served is
// listed.
#include "engines/golden_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engines/registry.h"
#include "reference/golden_implementations.h"

namespace crosscheck {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::StartsWith;

constexpr char kFolder[] = "tests/golden/";

// The exact model accounts for what no engine is asked.
GoldenResult Check(const std::string& golden, const std::string& engine) {
  const auto result = CheckGolden(kFolder + golden, {ExactGoldenImplementation(ExactVariant::kFp64),
                                                     EngineGoldenImplementation(engine)});
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : GoldenResult();
}

const GoldenImplementationResult* Find(const GoldenResult& result, const std::string& name) {
  const auto found = std::find_if(result.implementations.begin(), result.implementations.end(),
                                  [&](const auto& i) { return i.name == name; });
  return found == result.implementations.end() ? nullptr : &*found;
}

class LatticeGoldenTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Goldens, LatticeGoldenTest,
                         testing::Values("qwen35-tiny", "qwen35-base", "qwen35-tied-r3",
                                         "qwen35-equal-heads", "qwen35-bf16", "qwen35-long",
                                         "qwen35-deep40", "qwen35-outlier", "qwen35-lora",
                                         "qwen35-mtp", "llama-gqa", "qwen35moe-top1",
                                         "qwen35moe-top2", "qwen35moe-neartie"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(LatticeGoldenTest, LatticeGivesWhatIsRecorded) {
  const std::vector<EngineInfo> engines = ListEngines();
  const auto lattice = std::find_if(engines.begin(), engines.end(),
                                    [](const EngineInfo& e) { return e.name == "lattice"; });
  ASSERT_NE(lattice, engines.end());
  if (!lattice->available) GTEST_SKIP() << lattice->hint;
  const GoldenResult result = Check(GetParam(), "lattice");
  EXPECT_THAT(result.failures, IsEmpty());
  const GoldenImplementationResult* judged = Find(result, "lattice");
  ASSERT_NE(judged, nullptr);
  for (const char* kind :
       {"logits.prompt", "logits.readout", "logits.session", "logits.steps", "nll"}) {
    EXPECT_THAT(judged->worst, Contains(Key(kind)));
  }
  const std::string name = GetParam();
  EXPECT_EQ(judged->worst.count("hidden"), name == "qwen35-lora" || name == "qwen35-mtp" ? 0u : 1u);
  EXPECT_EQ(judged->worst.count("stage.attn.gated"),
            name == "qwen35-base" || name == "qwen35-long" ? 1u : 0u);
}

TEST(GoldenEngineTest, AReferenceAsAnEngineAgrees) {
  const GoldenResult result = Check("qwen35-base", "exact:fp32");
  EXPECT_THAT(result.failures, IsEmpty());
  ASSERT_NE(Find(result, "exact:fp32"), nullptr);
}

struct Fault {
  const char* engine;
  const char* failure;
};

TEST(GoldenEngineTest, NoticesWhatIsWrong) {
  for (const Fault& fault :
       {Fault{"faulty:rope_pairing", "logits_f64: error "}, Fault{"faulty:crash", "failed (dead)"},
        Fault{"faulty:second_token", "greedy_ids: other tokens from token "}}) {
    EXPECT_THAT(
        Check("qwen35-base", fault.engine).failures,
        Contains(AllOf(StartsWith(std::string(fault.engine) + ": "), HasSubstr(fault.failure))))
        << fault.engine;
  }
}

TEST(GoldenEngineTest, ListsWhatTheEngineDoesNotServe) {
  const GoldenResult result = Check("qwen35-base", "exact:fp32");
  for (const char* tensor : {"state.recurrent (exact:fp32)", "stage.gdn.q_hat (exact:fp32)",
                             "pad.logits (exact:fp32)", "greedy_logits (exact:fp32)"}) {
    EXPECT_THAT(result.skipped, Contains(Field(&GoldenSkip::tensor, tensor)));
  }
  for (const GoldenSkip& skip : result.skipped) EXPECT_NE(skip.reason, "") << skip.tensor;
}

TEST(GoldenEngineTest, AnEngineThatDoesNotStartIsAnError) {
  for (const char* engine : {"lettuce", "/bin/false"}) {
    EXPECT_FALSE(
        CheckGolden(std::string(kFolder) + "qwen35-tiny", {EngineGoldenImplementation(engine)})
            .ok())
        << engine;
  }
}

}  // namespace
}  // namespace crosscheck
