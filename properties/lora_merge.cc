// R26 (judging.md 7.4): an adapter that the engine applies beside the weights is the same model as
// the checkpoint with alpha / rank * B · A added to the weights; one with zero B, or one that a
// request does not use, changes nothing at all.
//
// Both forms are judged against the exact model, which merges in fp64. References in float32 merge
// and round (the exact model's variants) or add the low-rank product (libtorch): a rounded merge
// moves each weight by half a unit in the last place, as the nudged references do.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/lora.h"

namespace crosscheck {
namespace {

// Observations.
enum : size_t { kAdapted, kMerged, kUnused, kBase, kExact, kFirstReference };

std::shared_ptr<const ModelRecipe> WithAdapter(const LoraCase& c, bool merged) {
  auto recipe = std::make_shared<ModelRecipe>(*c.model);
  recipe->serving.adapter = c.adapter;
  recipe->serving.merged = merged;
  return recipe;
}

ModelRunCase RunOf(const LoraCase& c) {
  ModelRunCase run{.model = c.model, .path = c.path, .sequences = {}};
  run.sequences.push_back({.ids = c.ids,
                           .chunks = {static_cast<int32_t>(c.ids.size()) - c.steps},
                           .left_padding = 0,
                           .generate = 0});
  return run;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<LoraCase>();
  const ModelRunCase run = RunOf(c);
  const Message request = LogitsRequest(run, c.path);
  Message unused = request;
  unused.head["adapter"] = false;
  const auto adapted = WithAdapter(c, false);
  Runs plan = {{.role = Role::kEngine, .model = adapted, .request = request},
               {.role = Role::kEngine, .model = WithAdapter(c, true), .request = request},
               {.role = Role::kEngine, .model = adapted, .request = unused},
               {.role = Role::kEngine, .model = c.model, .request = request},
               {.role = Role::kExact, .model = adapted, .request = ExactRequest(run)}};
  AppendReferences(plan, adapted, [request](Observations&) { return request; });
  return plan;
}

// Within the bound of the exact model, `stage` in the place of the path's name.
Verdict JudgeBound(const ModelRunCase& run, const LogitsAnswer& exact, const LogitsAnswer& engine,
                   const std::string& stage, Observations& observations) {
  if (auto nonfinite = JudgeNonfinite(exact, engine, stage)) return *nonfinite;
  Verdict verdict = JudgeTolerance({run, run.path, exact, engine}, kFirstReference, observations);
  verdict.signature.stage = stage;
  for (Measure& measure : verdict.measures) measure.path = stage;
  return verdict;
}

// Two runs of the engine that must give the same numbers.
std::optional<Verdict> JudgeSame(const LogitsAnswer& a, const LogitsAnswer& b,
                                 const std::string& stage, const char* what) {
  for (size_t s = 0; s < a.sequences.size(); ++s) {
    const std::vector<double>&left = a.sequences[s].values, &right = b.sequences[s].values;
    const auto differs = std::mismatch(left.begin(), left.end(), right.begin(), right.end());
    if (differs.first == left.end() && differs.second == right.end()) continue;
    const auto at = static_cast<size_t>(differs.first - left.begin());
    const auto vocab = static_cast<size_t>(a.sequences[s].vocab);
    return MakeVerdict(VerdictKind::kEngineBug, stage, ErrorClass::kNumeric,
                       absl::StrCat(what, " changes the logits: first at row ", at / vocab,
                                    ", logit ", at % vocab));
  }
  return std::nullopt;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<LoraCase>();
  const ModelRunCase run = RunOf(c);
  LogitsAnswer adapted, merged, unused, base, exact;
  if (auto wrong = ReadEngineLogits(observations[kAdapted], run, "adapter", adapted)) return *wrong;
  if (!Counted(observations[kAdapted].message.head, "adapter")) {
    return DidNotRun("adapter", "the adapter");
  }
  if (auto wrong = ReadExactLogits(observations[kExact], run, "adapter", exact)) return *wrong;
  Verdict verdict = JudgeBound(run, exact, adapted, "adapter", observations);
  if (verdict.kind != VerdictKind::kPass) return verdict;
  if (auto wrong = ReadEngineLogits(observations[kMerged], run, "merged", merged)) return *wrong;
  Verdict of_merged = JudgeBound(run, exact, merged, "merged", observations);
  if (of_merged.kind != VerdictKind::kPass) return of_merged;
  verdict.measures.insert(verdict.measures.end(), of_merged.measures.begin(),
                          of_merged.measures.end());
  if (auto wrong = ReadEngineLogits(observations[kBase], run, "base", base)) return *wrong;
  if (auto wrong = ReadEngineLogits(observations[kUnused], run, "unused", unused)) return *wrong;
  if (auto found = JudgeSame(base, unused, "unused", "an adapter that is not used")) return *found;
  if (!c.adapter.zero_b) return verdict;
  if (auto found = JudgeSame(base, adapted, "zero_b", "an adapter with zero B")) return *found;
  return verdict;
}

}  // namespace

const Property& PropertyNamed_lora_merge() {
  static const Property property = {
      .name = "lora_merge",
      .subject = &LoraSubject(),
      .needs = {"model/1", "lora/1"},
      .kills = {"faulty:lora_alpha", "faulty:lora_module", "faulty:lora_stays"},
      .benign = EnginesInFp32(),
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
