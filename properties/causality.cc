// A token changes nothing before it: replacing token j leaves every value at positions below j as
// it is, bit for bit, in the calls that see the whole sequence (R20 in judging.md 7). Logits of a
// prefix see no later token. Leaving out the tokens from j on leaves the NLLs before it as they are
// too; at another length a kernel may add in another order (libtorch's do), so these are equal
// within legal rounding, as are all NLLs of a mixture of experts.
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

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  Runs plan;
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
  std::string lie;        // how an answer breaks the protocol
  std::string different;  // the first difference before the edit
  bool changed = false;   // at or behind the edit
  int judged = 0;         // positions before it
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
      result.lie = tensor.name + " has not one row for each position in both answers";
      return result;
    }
    const std::string different = FirstDifference(tensor, *other, 0, before);
    if (!different.empty() && result.different.empty()) {
      result.different = absl::StrCat(tensor.name, ", ", different);
    }
    result.changed |= !FirstDifference(tensor, *other, before, length).empty();
  }
  const bool judged = !base.tensors.empty() && result.different.empty();
  result.judged = judged ? static_cast<int>(before) : 0;
  return result;
}

// The NLLs of the tokens before the edit in the whole sequence and in observation `other`. Nothing
// when the engine has no NLLs, and one token has none.
Verdict JudgeNlls(const ModelRunCase& c, int position, size_t other, std::string_view stage,
                  Observations& observations) {
  if (position < 2 || !observations[kNll].ok()) return Verdict();
  const Reply& reply = observations[other];
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  const auto count = static_cast<size_t>(position) - 1;
  std::vector<double> values[2];
  for (const size_t run : {kNll, other}) {
    const Tensor* nll = observations[run].message.Find("nll");
    auto read = nll == nullptr ? absl::NotFoundError("nll") : nll->ToDoubles();
    if (!read.ok() || read->size() < count) {
      return ProtocolLie(stage, "not one NLL for each token that has a next one");
    }
    read->resize(count);
    values[run == kNll ? 0 : 1] = *std::move(read);
  }
  return JudgeNllAgreement(Whole(c), values[0], values[1], stage, kExactRun, kFirstReference,
                           observations);
}

struct Proof {
  bool served = false;   // some probe
  bool changed = false;  // something at or behind the edit
};

// Every probe bit for bit. Experts that take their tokens as one batch add in an order that depends
// on how many tokens there are, so in a mixture of experts a difference decides nothing by itself.
std::optional<Verdict> JudgeProbes(const ModelRunCase& c, const Edit& edit,
                                   Observations& observations, Verdict& verdict, Proof& proof) {
  const bool mixture = TraitsOf(c.model->spec.family).mixture;
  for (size_t i = 0; i < std::size(kProbes); ++i) {
    const Probe& probe = kProbes[i];
    const Reply &base = observations[2 * i], &edited = observations[2 * i + 1];
    if (Lacks(base)) continue;
    for (const Reply* reply : {&base, &edited}) {
      if (!reply->ok()) return EngineFailure(*reply->failure, probe.op);
    }
    const Comparison comparison = Compare(probe, edit, base.message, edited.message);
    if (!comparison.lie.empty()) return ProtocolLie(probe.op, comparison.lie);
    if (!comparison.different.empty() && !mixture) {
      return MakeVerdict(VerdictKind::kEngineBug, probe.op, ErrorClass::kState,
                         absl::StrCat("replacing token ", edit.position,
                                      " changes what comes before it: ", comparison.different));
    }
    proof.served = true;
    proof.changed |= comparison.changed;
    verdict.judged += comparison.judged;
  }
  if (!mixture) return std::nullopt;
  const Verdict nll = JudgeNlls(c, edit.position, kNll + 1, "nll", observations);
  if (!AddPassed(nll, verdict)) return nll;
  return std::nullopt;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  const Edit edit = EditOf(c);
  if (edit.position == 0) {
    return MakeVerdict(VerdictKind::kUnsupported, "", ErrorClass::kNone,
                       "nothing stands before the replaced token");
  }
  Verdict verdict;
  Proof proof;
  if (auto found = JudgeProbes(c, edit, observations, verdict, proof)) return *found;
  if (!proof.served || !proof.changed) {
    return MakeVerdict(VerdictKind::kUnsupported, "", ErrorClass::kNone,
                       proof.served ? "the replaced token changes nothing, also not behind it"
                                    : "the engine serves neither hidden, taps nor nll");
  }
  const Verdict shorter = JudgeNlls(c, edit.position, kShorter, kShorterStage, observations);
  if (!AddPassed(shorter, verdict)) return shorter;
  return verdict;
}

}  // namespace

const Property& PropertyNamed_causality() {
  static const Property property = {.name = "causality",
                                    .subject = &ModelRunSubject(),
                                    .needs = {"model/1"},
                                    .kills = {"faulty:hidden_leak", "faulty:nll_leak"},
                                    .benign = EnginesInFp32(),
                                    .plan = Plan,
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
