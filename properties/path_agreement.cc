// One checkpoint through the engine's f32, f16, int8 and Q8_0 paths, each judged against the exact
// model with the weights that a correct engine decodes from that format.
//
// What a format loses is therefore no error, and an error cannot hide behind what it loses. The
// basis of the bounds, by what the paths compute with (reference/quantisation/weight_format.h): f16
// and int8 weights are multiplied in float32, so the references in float32 on the decoded weights
// make the errors that a legal engine makes. Q8_0 rounds the input of every product to 8-bit codes:
// the exact model and every reference round them by the same law, and a code that flips in float32
// flips in the references as well, most of all in those on nudged weights.
//
// Tokens are judged by margins (greedy_prefix.h), hidden states in full (judges/hidden.h).
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/greedy_prefix.h"
#include "properties/judges/failure.h"
#include "properties/judges/hidden.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/weight_format.h"

namespace crosscheck {
namespace {

constexpr size_t kEngine = 0, kExact = 1, kFirstReference = 2;  // of hidden states

std::string FormatName(const WeightFormatCase& c) {
  return std::string(kWeightFormatNames[static_cast<size_t>(c.format)]);
}

std::shared_ptr<const ModelRecipe> Served(const WeightFormatCase& c) {
  if (c.format == WeightFormat::kF32) return c.model;
  auto served = std::make_shared<ModelRecipe>(*c.model);
  served->serving.format = c.format;
  return served;
}

ModelRunCase GreedyRun(const WeightFormatCase& c) {
  ModelRunCase run{.model = Served(c), .path = ModelPath::kSession, .sequences = {}};
  run.sequences.push_back({.ids = c.ids,
                           .chunks = {static_cast<int32_t>(c.ids.size())},
                           .left_padding = 0,
                           .generate = c.generate});
  return run;
}

Runs PlanHidden(const WeightFormatCase& c) {
  const std::shared_ptr<const ModelRecipe> model = Served(c);
  const Message request = HiddenRequest(c.ids);
  Runs plan = {{.role = Role::kEngine, .model = model, .request = request},
               {.role = Role::kExact, .model = model, .request = request}};
  AppendReferences(plan, model, [request](Observations&) { return request; });
  return plan;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<WeightFormatCase>();
  if (c.answer == FormatAnswer::kHidden) return PlanHidden(c);
  return PlanGreedy(std::make_shared<const ModelRunCase>(GreedyRun(c)));
}

// An engine that ignored the load option computed with other weights than the references.
std::optional<Verdict> NotServed(const WeightFormatCase& c, const Message& answer) {
  if (c.format == WeightFormat::kF32 || answer.head.value("format", "") == FormatName(c)) {
    return std::nullopt;
  }
  return MakeVerdict(
      VerdictKind::kUnsupported, FormatName(c), ErrorClass::kNone,
      absl::StrCat("the answer does not say that it comes from ", FormatName(c), " weights"));
}

Verdict JudgeHiddenStates(const WeightFormatCase& c, Observations& observations) {
  const std::string stage = absl::StrCat(FormatName(c), "-hidden");
  const Reply& reply = observations[kEngine];
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  if (auto other = NotServed(c, reply.message)) return *other;
  auto engine = ReadHidden(reply.message, c.ids.size(), c.model->spec.hidden);
  if (!engine.ok()) return ProtocolLie(stage, engine.status());
  return JudgeHidden(*engine,
                     {.exact = kExact,
                      .first_reference = kFirstReference,
                      .positions = c.ids.size(),
                      .hidden = c.model->spec.hidden},
                     stage, observations);
}

Verdict JudgeTokens(const WeightFormatCase& c, Observations& observations) {
  const ModelRunCase run = GreedyRun(c);
  const bool has_room = static_cast<int>(c.ids.size()) < c.model->spec.max_positions;
  if (has_room && observations[kEngine].ok()) {
    if (auto other = NotServed(c, observations[kEngine].message)) return *other;
  }
  Verdict verdict = JudgeGreedy(run, observations);
  verdict.signature.stage = absl::StrCat(FormatName(c), "-", verdict.signature.stage);
  return verdict;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<WeightFormatCase>();
  return c.answer == FormatAnswer::kHidden ? JudgeHiddenStates(c, observations)
                                           : JudgeTokens(c, observations);
}

}  // namespace

const Property& PropertyNamed_path_agreement() {
  static const Property property = {.name = "path_agreement",
                                    .subject = &WeightFormatSubject(),
                                    .needs = {"model/1", "generate/1"},
                                    .kills = {"faulty:int8_scale_of_tensor"},
                                    .benign = EnginesInFp32(),
                                    .plan = Plan,
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
