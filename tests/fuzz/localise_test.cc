// The localiser names the layer and the stage of a fault in one tensor, with taps and without.
#include "fuzz/localise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "engines/registry.h"
#include "fuzz/localise_taps.h"
#include "fuzz/run_case.h"
#include "fuzz/smoke.h"
#include "properties/subjects/model_run.h"
#include "tests/fuzz/localise_rows.h"

namespace crosscheck {
namespace {

bool IsBuilt(const std::string& engine) {
  for (const EngineInfo& info : ListEngines()) {
    if (info.name == engine) return info.available;
  }
  return false;
}

// On an engine without a defect no stage is beyond its bound, whatever the model.
TEST(LocaliseTest, NoStageOfACleanEngineIsBeyondItsBound) {
  const char* cases_env = getenv("LOC_CASES");
  const int64_t cases = cases_env ? atoi(cases_env) : 100;
  for (const std::string engine : {"torch", "lattice"}) {
    if (!IsBuilt(engine)) continue;
    auto executor = Executor::Create({.engine = engine});
    ASSERT_TRUE(executor.ok()) << executor.status();
    SmokeOptions options;
    options.properties = {FindProperty("logit_closeness")};
    options.seed = 5;
    options.cases_per_model = 1;
    int tapped_cases = 0;
    std::map<std::string, double> worst;
    for (int64_t i = 0; i < cases; ++i) {
      const Case drawn = CaseOfSequence(options, (*executor)->limits(), i).value;
      const auto& c = drawn.As<ModelRunCase>();
      const auto tapped = TapEngine(c.model, c.sequences[0].ids, **executor);
      if (!tapped.ok()) { if (i<20) std::cerr << i << " " << tapped.status() << "\n"; continue; }
      ++tapped_cases;
      const auto stages = StageErrors(*c.model, c.sequences[0].ids, *tapped);
      ASSERT_TRUE(stages.ok()) << stages.status();
      for (const StageError& stage : *stages) {
        worst[stage.stage] = std::max(worst[stage.stage], stage.ratio);
        if (stage.bad()) std::cerr 
            << engine << " case " << i << " layer " << stage.layer << " " << stage.stage << " "
            << stage.added_error << " of " << stage.bound << " " << stage.ratio << "\n" ;
      }
    }
    std::cerr << engine << " tapped " << tapped_cases << "\n";
    for (auto& [k, v] : worst) std::cerr << "  " << k << " " << v << "\n";
  }
}

}  // namespace
}  // namespace crosscheck
