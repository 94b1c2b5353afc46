// Every position that the case's path answers is as close to the exact model as legal fp32
// arithmetic is.
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

enum Observation : size_t { kEngineRun, kExactRun, kFirstReference };

std::vector<Run> Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  std::vector<Run> plan;
  plan.reserve(kFirstReference + kReferenceRuns);
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
  std::string stage(kModelPathNames[static_cast<int>(c.path)]);
  const Reply& reply = observations[kEngineRun];
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  auto engine = ReadLogits(reply.message, c, c.path);
  if (!engine.ok()) {
    absl::string_view what = engine.status().message();
    return ProtocolLie(stage, {what.data(), what.size()});
  }
  if (!engine->path_ran) {
    return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                       "the counters say that path " + stage + " did not run");
  }
  const Reply& exact_reply = observations[kExactRun];
  if (!exact_reply.ok()) return ReferenceFailure(*exact_reply.failure, "exact", stage);
  auto exact = ReadExact(exact_reply.message, c);
  if (!exact.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       "the exact model: " + exact.status().ToString());
  }
  if (auto verdict = JudgeNonfinite(*exact, *engine, stage)) return *verdict;
  return JudgeTolerance({c, c.path, *exact, *engine}, kFirstReference, observations);
}

}  // namespace

const Property& PropertyNamed_logit_closeness() {
  static const Property property = {
      .name = "logit_closeness",
      .subject = &ModelRunSubject(),
      .needs = {"model/1"},
      .kills = {"faulty:rope_pairing", "faulty:token_logit", "faulty:future_leak",
                "faulty:stale_state", "faulty:crash", "faulty:hang", "faulty:allocate",
                "faulty:nan", "faulty:panic", "faulty:garbage", "faulty:expert_off_by_one"},
      .benign = {"exact:fp32", "exact:fp32-chunked-reversed", "exact:fp32-chunked-pairwise",
                 "torch"},
      .plan = Plan,
      .judge = Judge,
      .share = 6};
  return property;
}

}  // namespace crosscheck
