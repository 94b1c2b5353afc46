// Every path of the engine computes the same logits: prompt, readout, session with the case's
// chunks, and session with a further split into prefill and steps (R7, R14, R24 in judging.md 7).
// Each pair is judged at the positions that both answer; the token NLLs are judged against the
// logits of readout.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/agreement.h"
#include "properties/judges/failure.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

// A way to compute the logits; `kSplit` is path session with RelationCase::split.
// Readout comes first, as it answers every position: a pair with it shows a defect in the shortest
// sequence.
enum Way : size_t { kReadout, kPrompt, kSession, kSplit, kWays };
constexpr std::string_view kWayNames[] = {"readout", "prompt", "session", "split"};
constexpr ModelPath kPaths[] = {ModelPath::kReadout, ModelPath::kPrompt, ModelPath::kSession,
                                ModelPath::kSession};

// Observations: the engine's answer by each way, then these, then the references of each way.
constexpr size_t kNll = kWays, kExactRun = kWays + 1, kFirstReference = kWays + 2;
constexpr size_t ReferencesOf(size_t way) { return kFirstReference + way * kPerturbedRuns; }

// The case as the way runs it: its path and its chunks.
ModelRunCase By(size_t way, const ModelRunCase& c) {
  ModelRunCase run = c;
  run.path = kPaths[way];
  if (way != kSplit) return run;
  for (SequenceCase& sequence : run.sequences) {
    const auto length = static_cast<int32_t>(sequence.ids.size());
    sequence.chunks = {c.relation.split == 0 ? length : std::min(c.relation.split, length)};
  }
  return run;
}

bool AddsNothing(size_t way, const ModelRunCase& c) {
  if (way != kSplit) return false;
  const ModelRunCase split = By(kSplit, c);
  return std::equal(split.sequences.begin(), split.sequences.end(), c.sequences.begin(),
                    [](const SequenceCase& a, const SequenceCase& b) {
                      return a.chunks == b.chunks ||
                             (b.chunks.empty() && a.chunks[0] == static_cast<int>(a.ids.size()));
                    });
}

// NLLs take no mask, and one token has no next one.
bool HasNll(const ModelRunCase& c) {
  return c.sequences.front().ids.size() > 1 && c.sequences.front().left_padding == 0;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  Runs plan;
  for (size_t way = 0; way < kWays; ++way) {
    plan.push_back({.role = Role::kEngine,
                    .model = c.model,
                    .request = LogitsRequest(By(way, c), kPaths[way])});
  }
  Message nll;
  nll.head = {{"op", "nll"}, {"ids", c.sequences.front().ids}};
  plan.push_back({.role = Role::kEngine, .model = c.model, .request = std::move(nll)});
  plan.push_back({.role = Role::kExact, .model = c.model, .request = ExactRequest(c)});
  for (size_t way = 0; way < kWays; ++way) {
    AppendPerturbed(plan, c.model, [erased, way](Observations&) {
      return LogitsRequest(By(way, erased.As<ModelRunCase>()), kPaths[way]);
    });
  }
  return plan;
}

struct Answer {
  size_t way;
  ModelRunCase run;
  LogitsAnswer logits;
  Side side() const { return {run, run.path, logits, ReferencesOf(way)}; }
};

// The answers of the ways that the engine has and that the counters prove, or what is wrong with
// one.
std::optional<Verdict> ReadAnswers(const ModelRunCase& c, Observations& observations,
                                   std::vector<Answer>& answers) {
  for (size_t way = 0; way < kWays; ++way) {
    if (AddsNothing(way, c)) continue;
    const Reply& reply = observations[way];
    if (Lacks(reply)) continue;
    if (!reply.ok()) return EngineFailure(*reply.failure, kWayNames[way]);
    ModelRunCase run = By(way, c);
    auto logits = ReadLogits(reply.message, run, run.path);
    if (!logits.ok()) return ProtocolLie(kWayNames[way], logits.status());
    if (!logits->path_ran) continue;
    answers.push_back({way, std::move(run), *std::move(logits)});
  }
  return std::nullopt;
}

// -ln softmax(logits)[next id] of the first sequence, at every position that has a next one.
std::vector<double> NllOfLogits(const Answer& readout) {
  const SequenceLogits& rows = readout.logits.sequences.front();
  const std::vector<int32_t>& ids = readout.run.sequences.front().ids;
  std::vector<double> nll;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    nll.push_back(NegativeLogLikelihood(rows.row(i), ids[i + 1]));
  }
  return nll;
}

// Nothing when the engine serves no NLLs.
std::optional<Verdict> JudgeNll(const Answer& readout, Observations& observations) {
  const Reply& reply = observations[kNll];
  if (Lacks(reply)) return std::nullopt;
  if (!reply.ok()) return EngineFailure(*reply.failure, "nll");
  const std::vector<double> expected = NllOfLogits(readout);
  const Tensor* nll = reply.message.Find("nll");
  const auto values = nll == nullptr ? absl::NotFoundError("no tensor nll") : nll->ToDoubles();
  if (!values.ok() || values->size() != expected.size()) {
    return ProtocolLie("nll", "not one value for each token that has a next one");
  }
  return JudgeNllAgreement(readout.run, *values, expected, "nll", kExactRun, ReferencesOf(kReadout),
                           observations);
}

// Measures of all pairs go by one name, so that the sum keeps the largest.
bool AddPair(Verdict pair, Verdict& sum) {
  for (Measure& measure : pair.measures) measure.path = "pairs";
  return AddPassed(pair, sum);
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  std::vector<Answer> answers;
  if (auto wrong = ReadAnswers(c, observations, answers)) return *wrong;
  if (answers.size() < 2) {
    return MakeVerdict(VerdictKind::kUnsupported, "", ErrorClass::kNone,
                       "fewer than two paths ran");
  }
  Verdict verdict;
  for (size_t a = 0; a < answers.size(); ++a) {
    for (size_t b = a + 1; b < answers.size(); ++b) {
      const std::string stage = absl::StrCat(std::string(kWayNames[answers[a].way]), "-",
                                             std::string(kWayNames[answers[b].way]));
      const Verdict pair =
          JudgeAgreement(answers[a].side(), answers[b].side(), stage, kExactRun, observations);
      if (!AddPair(pair, verdict)) return pair;
    }
  }
  const auto readout = std::find_if(answers.begin(), answers.end(),
                                    [](const Answer& a) { return a.way == kReadout; });
  if (readout == answers.end() || !HasNll(c)) return verdict;
  if (std::optional<Verdict> nll = JudgeNll(*readout, observations)) {
    if (!AddPair(*nll, verdict)) return *nll;
  }
  return verdict;
}

}  // namespace

const Property& PropertyNamed_prefill_decode() {
  static const Property property = {
      .name = "prefill_decode",
      .subject = &ModelRunSubject(),
      .needs = {"model/1"},
      .kills = {"faulty:first_step", "faulty:future_leak", "faulty:nll_leak"},
      .benign = EnginesInFp32(),
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
