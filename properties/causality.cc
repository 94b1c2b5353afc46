// A token changes nothing before it: replacing token j leaves every value at positions below j as
// it is, bit for bit, in the calls that see the whole sequence (R20 in judging.md 7). Logits of a
// prefix see no later token. Leaving out the tokens from j on leaves the NLLs before it as they are
// too; at another length a kernel may add in another order (libtorch's do), so these are equal
// within legal rounding.
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/agreement.h"
#include "properties/judges/failure.h"
#include "properties/judges/identical.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

// One call on the sequence as it is, observation 2 i, and on the edited one, observation 2 i + 1.
struct Probe {
  std::string_view op;
  int next;  // tokens behind its position that an entry depends on: -ln p(ids[t + 1]) at t
};
constexpr Probe kProbes[] = {{"hidden", 0}, {"taps", 0}, {"nll", 1}};
constexpr size_t kNll = 4;  // the NLLs of the whole sequence

// Behind the probes: the NLLs of the tokens before the edit, and what a bound on their difference
// needs.
enum Observation : size_t { kShorter = 2 * std::size(kProbes), kExactRun, kFirstReference };
constexpr std::string_view kShorterStage = "shorter";

// The first sequence without padding, as the references read it.
ModelRunCase Whole(const ModelRunCase& c) {
  ModelRunCase whole{.model = c.model, .path = ModelPath::kReadout, .sequences = {}};
  whole.sequences.push_back(c.sequences.front());
  whole.sequences.front().left_padding = 0;
  return whole;
}

Message ProbeRequest(const Probe& probe, const std::vector<int32_t>& ids) {
  Message request;
  request.head = {{"op", probe.op}, {"ids", ids}};
  // Stages that every layer of every family has.
  if (probe.op == "taps") request.head["stages"] = {"mixer_out", "mlp_out"};
  return request;
}

std::vector<Run> Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  std::vector<Run> plan;
  for (const Probe& probe : kProbes) {
    for (const std::vector<int32_t>& ids : {c.sequences.front().ids, EditOf(c).ids}) {
      plan.push_back(
          {.role = Role::kEngine, .model = c.model, .request = ProbeRequest(probe, ids)});
    }
  }
  const Edit edit = EditOf(c);
  const std::vector<int32_t> before(edit.ids.begin(), edit.ids.begin() + edit.position);
  plan.push_back(
      {.role = Role::kEngine, .model = c.model, .request = ProbeRequest({"nll", 1}, before)});
  plan.push_back({.role = Role::kExact, .model = c.model, .request = ExactRequest(Whole(c))});
  AppendPerturbed(plan, c.model, [erased](Observations&) {
    return LogitsRequest(Whole(erased.As<ModelRunCase>()), ModelPath::kReadout);
  });
  return plan;
}

// What comparing one probe's two answers gave.
struct Comparison {
  std::optional<Verdict> wrong;
  bool changed = false;  // at or behind the edit
  int judged = 0;        // positions before it
};

Comparison Compare(const Probe& probe, const Edit& edit, const Message& base,
                   const Message& edited) {
  Comparison result;
  const int64_t length = static_cast<int64_t>(edit.ids.size()) - probe.next;
  const int64_t before = std::max(edit.position - probe.next, 0);
  for (const Tensor& tensor : base.tensors) {
    const Tensor* other = edited.Find(tensor.name);
    if (other == nullptr || other->shape != tensor.shape || tensor.shape.empty() ||
        tensor.shape[0] != length) {
      result.wrong = ProtocolLie(
          probe.op,
          absl::StrCat(tensor.name, " has not one row for each position in both answers"));
      return result;
    }
    const std::string different = FirstDifference(tensor, *other, 0, before);
    if (!different.empty()) {
      result.wrong = MakeVerdict(
          VerdictKind::kEngineBug, probe.op, ErrorClass::kState,
          absl::StrCat("replacing token ", edit.position,
                       " changes what comes before it: ", tensor.name, ", ", different));
      return result;
    }
    result.changed |= !FirstDifference(tensor, *other, before, length).empty();
  }
  result.judged = base.tensors.empty() ? 0 : static_cast<int>(before);
  return result;
}

// The NLLs of the tokens before the edit, alone and in the whole sequence. Nothing when the engine
// has no NLLs.
Verdict JudgeShorter(const ModelRunCase& c, int position, Observations& observations) {
  Verdict none;
  // Of one token there is no NLL.
  if (position < 2 || !observations[kNll].ok()) return none;
  const Reply& shorter = observations[kShorter];
  if (!shorter.ok()) return EngineFailure(*shorter.failure, kShorterStage);
  const Tensor *whole = observations[kNll].message.Find("nll"),
               *before = shorter.message.Find("nll");
  const auto count = static_cast<size_t>(position) - 1;
  const auto first = whole == nullptr ? absl::NotFoundError("nll") : whole->ToDoubles();
  const auto second = before == nullptr ? absl::NotFoundError("nll") : before->ToDoubles();
  if (!first.ok() || !second.ok() || first->size() < count || second->size() != count) {
    return ProtocolLie(kShorterStage, "not one NLL for each token that has a next one");
  }
  return JudgeNllAgreement(Whole(c), absl::MakeConstSpan(*first).first(count), *second,
                           kShorterStage, kExactRun, kFirstReference, observations);
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const Edit edit = EditOf(c);
  if (edit.position == 0) {
    return MakeVerdict(VerdictKind::kUnsupported, "", ErrorClass::kNone,
                       "nothing stands before the replaced token");
  }
  Verdict verdict;
  bool changed = false, served = false;
  for (size_t i = 0; i < std::size(kProbes); ++i) {
    const Probe& probe = kProbes[i];
    const Reply &base = observations[2 * i], &edited = observations[2 * i + 1];
    if (!base.ok() && base.failure->kind == FailureKind::kUnsupported) continue;
    for (const Reply* reply : {&base, &edited}) {
      if (!reply->ok()) return EngineFailure(*reply->failure, probe.op);
    }
    served = true;
    Comparison comparison = Compare(probe, edit, base.message, edited.message);
    if (comparison.wrong) return *std::move(comparison.wrong);
    changed |= comparison.changed;
    verdict.judged += comparison.judged;
  }
  if (!served || !changed) {
    return MakeVerdict(VerdictKind::kUnsupported, "", ErrorClass::kNone,
                       served ? "the replaced token changes nothing, also not behind it"
                              : "the engine serves neither hidden, taps nor nll");
  }
  Verdict shorter = JudgeShorter(c, edit.position, observations);
  if (shorter.kind != VerdictKind::kPass) return shorter;
  verdict.judged += shorter.judged;
  verdict.measures = std::move(shorter.measures);
  return verdict;
}

}  // namespace

const Property& PropertyNamed_causality() {
  static const Property property = {.name = "causality",
                                    .subject = &ModelRunSubject(),
                                    .needs = {"model/1"},
                                    .kills = {"faulty:hidden_leak", "faulty:nll_leak"},
                                    .benign = {"exact:fp32", "exact:fp32-chunked-reversed",
                                               "exact:fp32-chunked-pairwise", "torch"},
                                    .plan = Plan,
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
