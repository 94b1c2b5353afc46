// Every position that the case's path answers is as close to the exact model as legal fp32
// arithmetic is.
#include "properties/judges/answers.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

enum Observation : size_t { kEngineRun, kExactRun, kFirstReference };

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  Runs plan;
  plan.push_back({.role = Role::kEngine, .model = c.model, .request = LogitsRequest(c, c.path)});
  plan.push_back({.role = Role::kExact, .model = c.model, .request = ExactRequest(c)});
  AppendReferences(plan, c.model, [erased](Observations&) {
    const auto& run = erased.As<ModelRunCase>();
    return LogitsRequest(run, run.path);
  });
  return plan;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const std::string stage = PathName(c.path);
  LogitsAnswer engine, exact;
  if (auto wrong = ReadEngineLogits(observations[kEngineRun], c, stage, engine)) return *wrong;
  if (auto wrong = ReadExactLogits(observations[kExactRun], c, stage, exact)) return *wrong;
  if (auto verdict = JudgeNonfinite(exact, engine, stage)) return *verdict;
  return JudgeTolerance({c, c.path, exact, engine}, kFirstReference, observations);
}

}  // namespace

const Property& PropertyNamed_logit_closeness() {
  static const Property property = {
      .name = "logit_closeness",
      .subject = &ModelRunSubject(),
      .needs = {"model/1"},
      .kills = {"faulty:rope_pairing", "faulty:token_logit", "faulty:future_leak",
                "faulty:stale_state", "faulty:crash", "faulty:hang", "faulty:allocate",
                "faulty:nan", "faulty:panic", "faulty:garbage", "faulty:expert_off_by_one",
                "faulty:shared_gate"},
      .benign = EnginesInFp32(),
      .plan = Plan,
      .judge = Judge,
      .share = 6};
  return property;
}

}  // namespace crosscheck
