#include "properties/subjects/session.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>

#include "absl/strings/str_cat.h"
#include "properties/judges/session_machine.h"
#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

bool AnyOrder(const SessionCase& c) {
  return c.conduct == SessionConduct::kAnyOrder || c.conduct == SessionConduct::kAnything;
}
bool AnyInput(const SessionCase& c) {
  return c.conduct == SessionConduct::kAnyInput || c.conduct == SessionConduct::kAnything;
}

// Whether an engine accepts the call; most engines heed a cancellation.
bool IsLikely(const SessionMachine& machine, const std::vector<SessionStep>& steps, size_t step) {
  using enum SessionCall;
  const SessionCall call = steps[step].call;
  return machine.Expect(steps, step).allowed != Allowed::kRefused && call != kCancelledPrefill &&
         call != kCancelledDecode;
}

constexpr SessionCall kCalls[] = {SessionCall::kOpen,
                                  SessionCall::kPrefill,
                                  SessionCall::kSelect,
                                  SessionCall::kDecode,
                                  SessionCall::kFinish,
                                  SessionCall::kReset,
                                  SessionCall::kCancelledPrefill,
                                  SessionCall::kCancelledDecode,
                                  SessionCall::kPrompt};

// The calls that a step may make, first the one that brings its sequence further: a program of such
// calls alone is a plain generation.
std::vector<SessionCall> CallsAt(const SessionCase& c, const SessionMachine& machine, size_t step) {
  using enum SessionCall;
  std::vector<SessionStep> steps(c.steps.begin(), c.steps.begin() + static_cast<ptrdiff_t>(step));
  steps.push_back({.sequence = c.steps[step].sequence, .ids = {0}});
  std::vector<SessionCall> calls;
  std::array<bool, std::size(kCalls)> orderly{};
  for (const SessionCall call : kCalls) {
    steps.back().call = call;
    const SessionExpectation expected = machine.Expect(steps, step);
    const bool beyond_context = AnyInput(c) && expected.rule.ends_with("_context");
    const bool legal = expected.allowed != Allowed::kRefused || beyond_context;
    orderly[static_cast<size_t>(call)] = legal;
    if (legal || AnyOrder(c)) calls.push_back(call);
  }
  for (const SessionCall next : {kDecode, kSelect, kPrefill, kOpen}) {
    if (!orderly[static_cast<size_t>(next)]) continue;
    const auto at = std::find(calls.begin(), calls.end(), next);
    std::rotate(calls.begin(), at, at + 1);
    break;
  }
  return calls;
}

void VisitPrompt(FieldVisitor& v, const Limits& limits, const SessionCase& c, int64_t budget,
                 SessionStep& step) {
  const ModelSpec& spec = c.model->spec;
  const bool has_ids = step.call == SessionCall::kOpen || step.call == SessionCall::kPrompt;
  const int64_t beyond = AnyInput(c) ? 1 : 0;
  const auto longest = static_cast<size_t>(std::clamp<int64_t>(
      budget, 1, std::min<int64_t>(spec.max_positions + beyond, limits.max_tokens)));
  const auto context = static_cast<size_t>(spec.max_positions);
  v.List("ids", step.ids,
         {.min = 1,
          .max = has_ids ? longest : 1,
          .typical = 8,
          .interesting = {1, 2, 3, context - 1, context, context + 1}},
         [&](FieldVisitor& e, int32_t& id) {
           e.Int("id", id,
                 {.lo = 0, .hi = has_ids ? spec.vocab - 1 : 0, .phase = ShrinkPhase::kValues});
         });
  const int64_t room =
      std::max<int64_t>(0, spec.max_positions - static_cast<int64_t>(step.ids.size()));
  const bool open = step.call == SessionCall::kOpen;
  v.Int("max_tokens", step.max_tokens,
        {.lo = 0,
         .hi = open ? room + beyond : 0,
         .typical = 12,
         .interesting = {1, 4, 12, room, room},
         .phase = ShrinkPhase::kLength});
}

void VisitDecode(FieldVisitor& v, const SessionCase& c, SessionStep& step) {
  using enum SessionCall;
  const bool decode = step.call == kDecode || step.call == kCancelledDecode;
  const size_t kinds = std::size(kIdFaultNames);
  const bool prompt = step.call == kOpen || step.call == kPrompt;
  // There is no decode of nothing.
  const size_t faults = decode ? kinds - 1 : prompt ? kinds : 1;
  v.Int("id", step.id,
        {.lo = 0, .hi = decode ? c.model->spec.vocab - 1 : 0, .phase = ShrinkPhase::kValues});
  v.Enum("fault", step.fault, kIdFaultNames,
         {.count = AnyInput(c) ? faults : 1,
          .interesting = {IdFault::kNone, IdFault::kNone, IdFault::kVocab}});
  v.Enum("prediction", step.prediction, kPredictionChoiceNames,
         {.count = decode && AnyOrder(c) ? std::size(kPredictionChoiceNames) : 1,
          .interesting = {PredictionChoice::kLatest, PredictionChoice::kLatest}});
}

void VisitStep(FieldVisitor& v, const Limits& limits, const SessionCase& c,
               const SessionMachine& machine, int64_t budget, SessionStep& step) {
  using enum SessionCall;
  const auto index = static_cast<size_t>(&step - c.steps.data());
  const int before = index == 0 ? 0 : c.steps[index - 1].sequence;
  v.Int("sequence", step.sequence,
        {.lo = 0,
         .hi = c.sequences - 1,
         .interesting = {before, before, before, before},
         .phase = ShrinkPhase::kMates});
  const std::vector<SessionCall> calls = CallsAt(c, machine, index);
  v.Enum("call", step.call, kSessionCallNames,
         {.values = calls,
          .typical = 1,
          .interesting = {kSelect, kFinish, kReset, kOpen, kPrompt, kCancelledPrefill,
                          kCancelledDecode, kPrefill, kDecode},
          .phase = ShrinkPhase::kConfiguration});
  VisitPrompt(v, limits, c, budget, step);
  VisitDecode(v, c, step);
}

}  // namespace

std::vector<int64_t> HandedIds(const SessionStep& step, int vocab) {
  std::vector<int64_t> ids(step.ids.begin(), step.ids.end());
  if (step.call == SessionCall::kDecode || step.call == SessionCall::kCancelledDecode) {
    ids = {step.id};
  }
  if (step.fault == IdFault::kEmpty) return {};
  if (ids.empty() || step.fault == IdFault::kNone) return ids;
  const int64_t faults[] = {0, -1, vocab, int64_t{vocab} + 1, int64_t{1} << 40};
  ids.back() = faults[static_cast<size_t>(step.fault)];
  return ids;
}

int HandedPrediction(const std::vector<SessionStep>& steps, size_t step) {
  const SessionStep& decode = steps[step];
  const bool other = decode.prediction == PredictionChoice::kOther;
  int skip = decode.prediction == PredictionChoice::kOlder ? 1 : 0;
  for (size_t i = step; i-- > 0;) {
    const bool same = steps[i].sequence == decode.sequence;
    if (steps[i].call != SessionCall::kSelect || same == other) continue;
    if (skip-- == 0) return static_cast<int>(i);
  }
  return -1;
}

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, SessionCase& c) {
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("model", [&] { VisitModelRecipe(v, limits, model); });
  });
  v.Enum("conduct", c.conduct, kSessionConductNames, {.interesting = {SessionConduct::kOrderly}});
  v.Int("sequences", c.sequences, {.lo = 1, .hi = 2, .phase = ShrinkPhase::kMates});
  int64_t budget = limits.max_multiply_adds / MultiplyAddsPerToken(c.model->spec);
  SessionMachine machine(c.model->spec);
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(limits.max_generated),
                        .typical = 14,
                        .interesting = {3, 8},
                        .phase = ShrinkPhase::kSteps};
  v.List("steps", c.steps, range, [&](FieldVisitor& e, SessionStep& step) {
    VisitStep(e, limits, c, machine, budget, step);
    budget -= static_cast<int64_t>(step.ids.size());
    const auto index = static_cast<size_t>(&step - c.steps.data());
    machine.Advance(c.steps, index, IsLikely(machine, c.steps, index));
  });
}

static std::vector<std::string> Labels(const SessionCase& c) {
  std::vector<std::string> labels;
  LabelModel(*c.model, labels);
  labels.push_back(
      absl::StrCat("conduct:", std::string(kSessionConductNames[static_cast<size_t>(c.conduct)])));
  SessionMachine machine(c.model->spec);
  std::set<std::string> seen;
  for (size_t i = 0; i < c.steps.size(); ++i) {
    const SessionExpectation expected = machine.Expect(c.steps, i);
    const bool refused = expected.allowed == Allowed::kRefused;
    seen.insert(absl::StrCat(refused ? "refused:" : "call:", std::string(expected.rule)));
    machine.Advance(c.steps, i, IsLikely(machine, c.steps, i));
  }
  labels.insert(labels.end(), seen.begin(), seen.end());
  if (machine.histories().size() > 1) labels.emplace_back("several_sessions");
  for (const SessionHistory& history : machine.histories()) {
    if (static_cast<int>(history.ids.size()) != c.model->spec.max_positions) continue;
    labels.emplace_back("context_full");
    break;
  }
  return labels;
}

bool operator==(const SessionCase& a, const SessionCase& b) {
  return SameRecipe(a.model, b.model) && a.conduct == b.conduct && a.sequences == b.sequences &&
         a.steps == b.steps;
}

const Subject& SessionSubject() { return MakeSubject<SessionCase>(); }

}  // namespace crosscheck
