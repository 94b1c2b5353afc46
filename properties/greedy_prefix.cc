// Greedy generation takes the token that the exact model ranks first, or one inside the allowed
// error of it.
//
// The engine generates from each prompt (batched prefill, then decode). The exact model then reads
// prompt and produced tokens in one go, so that every token is judged given its own prefix, the
// engine's. judging.md 4.2 demands that nothing behind a divergence stays untested: here no
// position depends on an earlier agreement at all, the whole sequence is judged to its end whether
// or not the engine diverged, and after a divergence the engine is judged on the history that it
// really has in its cache, which forcing the reference's token would replace.
#include "properties/greedy_prefix.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engines/generate_message.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/greedy.h"
#include "properties/judges/nonfinite.h"
#include "properties/property.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

constexpr char kStage[] = "session";
constexpr char kTieStage[] = "tie";

// The prompts that leave room in the context for a token. Padding has no place in `generate`.
std::vector<SequenceCase> Prompts(const ModelRunCase& c) {
  std::vector<SequenceCase> prompts;
  for (SequenceCase sequence : c.sequences) {
    int room = c.model->spec.max_positions - static_cast<int>(sequence.ids.size());
    if (room < 1) continue;
    sequence.generate = std::clamp(sequence.generate, 1, room);
    sequence.left_padding = 0;
    prompts.push_back(std::move(sequence));
  }
  return prompts;
}

// Observations: one generation for each prompt, then these.
struct Layout {
  explicit Layout(size_t prompts)
      : exact(prompts), references(prompts + 1), own_logits(prompts + 1 + kReferenceRuns) {}
  size_t exact, references, own_logits;
};

// Prompt and tokens as sequences of their own.
ModelRunCase ForcedCase(const ModelRunCase& c, const std::vector<SequenceCase>& prompts,
                        Observations& observations) {
  ModelRunCase forced{.model = c.model, .path = ModelPath::kSession, .sequences = {}};
  for (size_t s = 0; s < prompts.size(); ++s) {
    const auto generated = ReadGenerated(observations[s].message);
    forced.sequences.push_back(
        ForcedSequence(prompts[s].ids, generated.value_or(Generated()), c.model->spec));
  }
  return forced;
}

// The answers of the engine, or what is wrong with them.
std::optional<Verdict> ReadAnswers(const ModelRunCase& c, const std::vector<SequenceCase>& prompts,
                                   Observations& observations, std::vector<Generated>& answers) {
  for (size_t s = 0; s < prompts.size(); ++s) {
    Generated generated;
    if (auto wrong = ReadGeneration(observations[s], kStage, generated)) return wrong;
    const std::string wrong = MalformedGeneration(generated, prompts[s].generate, c.model->spec);
    if (!wrong.empty()) {
      return MakeVerdict(VerdictKind::kEngineBug, kStage, ErrorClass::kToken,
                         absl::StrCat("sequence ", s, ": ", wrong));
    }
    answers.push_back(std::move(generated));
  }
  return std::nullopt;
}

std::string Describe(const Decision& decision, double bound, const std::string& bucket) {
  return absl::StrFormat(
      "sequence %d, generated token %d (after position %d): the engine took %d, the exact model "
      "%d; the exact gap "
      "%.6g is above the allowed %.4g; bucket %s",
      decision.sequence, decision.step, decision.position, decision.token, decision.best,
      decision.gap, bound, bucket);
}

// Exact ties that the engine broke otherwise than its own logits allow.
std::optional<Verdict> JudgeTies(const ModelRunCase& forced, const std::vector<Decision>& decisions,
                                 size_t own_logits, Observations& observations) {
  for (const Decision& decision : decisions) {
    if (decision.token == decision.best || decision.gap != 0) continue;
    const Reply& reply = observations[own_logits];
    if (Lacks(reply)) return std::nullopt;
    if (!reply.ok()) return EngineFailure(*reply.failure, kTieStage);
    auto own = ReadLogits(reply.message, forced, ModelPath::kSession);
    if (!own.ok()) return ProtocolLie(kTieStage, own.status());
    const SequenceLogits& rows = own->sequences[decision.sequence];
    auto at = std::find(rows.positions.begin(), rows.positions.end(), decision.position);
    if (at == rows.positions.end() ||
        !BreaksTieRule(decision, rows.row(at - rows.positions.begin()))) {
      continue;
    }
    return MakeVerdict(
        VerdictKind::kEngineBug, kTieStage, ErrorClass::kToken,
        absl::StrFormat(
            "sequence %d, generated token %d: the engine's logits of %d and %d are equal "
            "and the largest, and it did not take the lowest index but %d",
            decision.sequence, decision.step, decision.best, decision.token, decision.token));
  }
  return std::nullopt;
}

double LargestExact(const JudgedRows& rows, const std::vector<Decision>& decisions) {
  double largest = 0;
  for (const Decision& decision : decisions) {
    for (double logit : rows.exact.sequences[decision.sequence].row(decision.position)) {
      largest = std::max(largest, std::abs(logit));
    }
  }
  return largest;
}

// Divergences of which the exact gap is within `allowed`.
int CountNearTies(const std::vector<Decision>& decisions, double allowed) {
  return static_cast<int>(std::count_if(
      decisions.begin(), decisions.end(),
      [allowed](const Decision& d) { return d.token != d.best && d.gap <= allowed; }));
}

Verdict JudgeDecisions(const JudgedRows& rows, const std::vector<Decision>& decisions,
                       const Layout& layout, Observations& observations) {
  Verdict verdict;
  verdict.signature.stage = kStage;
  verdict.judged = static_cast<int>(decisions.size());
  BucketKey key = BucketOf(rows.c, rows.path);
  verdict.bucket = key.ToString();
  auto worst = std::max_element(decisions.begin(), decisions.end(),
                                [](const Decision& a, const Decision& b) { return a.gap < b.gap; });
  if (worst == decisions.end()) return verdict;
  ErrorBound bound(CommittedErrorBounds().Find(key), LargestExact(rows, decisions), DType::kF32);
  // Epsilon of the best token plus that of the chosen one.
  auto allowed = [&] { return 2 * bound.Of(Metric::kLinf); };
  auto failed = WidenUntil(rows, ReferencesFrom(layout.references), observations, bound,
                           [&] { return worst->gap <= allowed(); });
  if (failed) return *failed;
  verdict.near_ties = CountNearTies(decisions, allowed());
  verdict.measures.push_back({.metric = "greedy_gap",
                              .path = kStage,
                              .error = worst->gap,
                              .bound = allowed(),
                              .floor_bound = 2 * bound.FloorOf(Metric::kLinf)});
  if (worst->gap > allowed()) {
    verdict.kind = VerdictKind::kEngineBug;
    verdict.signature.error = ErrorClass::kToken;
    verdict.marginal = worst->gap < kMarginalFactor * allowed();
    verdict.message = Describe(*worst, allowed(), verdict.bucket);
    return verdict;
  }
  if (auto broken = JudgeTies(rows.c, decisions, layout.own_logits, observations)) return *broken;
  if (verdict.near_ties > 0) verdict.kind = VerdictKind::kNearTie;
  return verdict;
}

// The decisions at the judged positions, which are the first ones of each sequence.
std::vector<Decision> DecisionsOf(const JudgedRows& rows, const std::vector<Decision>& decisions) {
  std::vector<Decision> kept;
  for (const Decision& decision : decisions) {
    const std::vector<int>& positions = rows.judged.sequences[decision.sequence].positions;
    if (!positions.empty() && decision.position <= positions.back()) kept.push_back(decision);
  }
  return kept;
}

}  // namespace

Runs PlanGreedy(const std::shared_ptr<const ModelRunCase>& c) {
  std::vector<SequenceCase> prompts = Prompts(*c);
  Runs plan;
  for (const SequenceCase& prompt : prompts) {
    plan.push_back({.role = Role::kEngine,
                    .model = c->model,
                    .request = GenerateMessage(prompt.ids, prompt.generate)});
  }
  if (plan.empty()) return plan;
  using Request = Message (*)(const ModelRunCase& forced);
  auto derive = [c](Request request) {
    return [c, request](Observations& seen) { return request(ForcedCase(*c, Prompts(*c), seen)); };
  };
  auto session =
      derive([](const ModelRunCase& forced) { return LogitsRequest(forced, ModelPath::kSession); });
  plan.push_back(
      {.role = Role::kExact, .model = c->model, .request = {}, .derive = derive(ExactRequest)});
  AppendReferences(plan, c->model, session);
  plan.push_back({.role = Role::kEngine, .model = c->model, .request = {}, .derive = session});
  return plan;
}

Verdict JudgeGreedy(const ModelRunCase& c, Observations& observations) {
  std::vector<SequenceCase> prompts = Prompts(c);
  if (prompts.empty()) {
    return MakeVerdict(VerdictKind::kUnsupported, kStage, ErrorClass::kNone,
                       "every prompt fills its context, there is no room to generate");
  }
  Layout layout(prompts.size());
  std::vector<Generated> answers;
  if (auto wrong = ReadAnswers(c, prompts, observations, answers)) return *wrong;
  ModelRunCase forced = ForcedCase(c, prompts, observations);
  LogitsAnswer exact;
  if (auto wrong = ReadExactLogits(observations[layout.exact], forced, kStage, exact)) {
    return *wrong;
  }
  if (auto drift = JudgeNonfinite(exact, LogitsAnswer{}, kStage)) return *drift;
  std::vector<size_t> prompt_sizes;
  prompt_sizes.reserve(prompts.size());
  for (const SequenceCase& prompt : prompts) prompt_sizes.push_back(prompt.ids.size());
  std::vector<Decision> decisions = Decisions(forced, prompt_sizes, answers, exact);
  LogitsAnswer judged = DecisionRows(decisions, prompts.size());
  const JudgedRows rows{forced, ModelPath::kSession, exact, judged};
  return JudgeBeforeRouterTies(rows, ReferencesFrom(layout.references), observations,
                               [&](const JudgedRows& before, Observations& visible) {
                                 return JudgeDecisions(before, DecisionsOf(before, decisions),
                                                       layout, visible);
                               });
}

static Runs Plan(const Case& erased) {
  return PlanGreedy(std::make_shared<const ModelRunCase>(erased.As<ModelRunCase>()));
}

static Verdict Judge(const Case& erased, Observations& observations) {
  return JudgeGreedy(erased.As<ModelRunCase>(), observations);
}

const Property& PropertyNamed_greedy_prefix() {
  static const Property property = {.name = "greedy_prefix",
                                    .subject = &ModelRunSubject(),
                                    .needs = {"model/1", "generate/1"},
                                    .kills = {"faulty:rope_pairing", "faulty:second_token"},
                                    .benign = EnginesInFp32(),
                                    .plan = Plan,
                                    .judge = Judge,
                                    .share = 5};
  return property;
}

}  // namespace crosscheck
