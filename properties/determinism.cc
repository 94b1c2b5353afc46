// The same request gives the same bits: again on one loaded model after other work (A, B, A: the
// state is reset), on a second load, alone as beside other sequences, and generated tokens repeat,
// greedy or sampled from one seed. R12 and the first half of R35 in judging.md 7.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engines/generate_message.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/identical.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

// Observations in the order in which they run, then one run for each sequence alone.
enum Observation : size_t {
  kFirst,
  kOther,
  kGenerate,
  kAgain,
  kGenerateAgain,
  kSecondLoad,
  kFirstAlone
};

constexpr std::string_view kRepeat = "repeat", kReload = "reload", kAlone = "alone",
                           kGeneration = "generate";

ModelRunCase OneSequence(const ModelRunCase& c, const SequenceCase& sequence) {
  return {.model = c.model, .path = c.path, .sequences = {sequence}};
}

// Work between the two: another prompt of the same length.
Message OtherRequest(const ModelRunCase& c) {
  SequenceCase edited = c.sequences.front();
  edited.ids = EditOf(c).ids;
  return LogitsRequest(OneSequence(c, edited), c.path);
}

// Tokens that the first prompt leaves room for in the context.
int Room(const ModelRunCase& c) {
  return c.model->spec.max_positions - static_cast<int>(c.sequences.front().ids.size());
}

Message GenerateRequest(const ModelRunCase& c) {
  const SequenceCase& sequence = c.sequences.front();
  const double temperature = c.relation.sampled ? 1 : 0;
  // Seeds of 63 bits are integers in every JSON library.
  return GenerateMessage(sequence.ids, std::min(std::max(sequence.generate, 1), Room(c)),
                         {.temperature = temperature}, c.relation.seed >> 1);
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<ModelRunCase>();
  const auto run = [&c](Message request) {
    return Run{.role = Role::kEngine, .model = c.model, .request = std::move(request)};
  };
  const Message first = LogitsRequest(c, c.path), generate = GenerateRequest(c);
  std::vector<Run> plan = {run(first), run(OtherRequest(c)), run(generate),
                           run(first), run(generate),        run(first)};
  plan[kSecondLoad].model = Transformed(c.model, {ModelTransform::Kind::kSecondLoad});
  if (c.sequences.size() > 1) {
    for (const SequenceCase& sequence : c.sequences) {
      plan.push_back(run(LogitsRequest(OneSequence(c, sequence), c.path)));
    }
  }
  return plan;
}

// Sequence `i` of the first answer against sequence `j` of another.
std::string DifferentLogits(const Message& first, size_t i, const Message& other, size_t j) {
  const Tensor* a = first.Find(absl::StrCat("logits.", i));
  const Tensor* b = other.Find(absl::StrCat("logits.", j));
  if (a == nullptr || b == nullptr) return "logits are missing";
  const Json &here = first.head["positions"][i], &there = other.head["positions"][j];
  if (here != there) return absl::StrCat("positions ", here.dump(), " and ", there.dump());
  return FirstDifference(*a, *b);
}

Verdict Unequal(std::string_view stage, ErrorClass error, const std::string& what) {
  return MakeVerdict(VerdictKind::kEngineBug, stage, error, "one request has two answers: " + what);
}

// All sequences of the first answer against the same request's other answer.
std::optional<Verdict> JudgeRepeat(const ModelRunCase& c, size_t other, std::string_view stage,
                                   Observations& observations) {
  const Reply& reply = observations[other];
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  for (size_t s = 0; s < c.sequences.size(); ++s) {
    const std::string different =
        DifferentLogits(observations[kFirst].message, s, reply.message, s);
    if (different.empty()) continue;
    return Unequal(stage, ErrorClass::kState, absl::StrCat("sequence ", s, ", ", different));
  }
  return std::nullopt;
}

std::optional<Verdict> JudgeAlone(const ModelRunCase& c, Observations& observations) {
  for (size_t s = 0; c.sequences.size() > 1 && s < c.sequences.size(); ++s) {
    const Reply& reply = observations[kFirstAlone + s];
    if (!reply.ok()) return EngineFailure(*reply.failure, kAlone);
    const std::string different =
        DifferentLogits(observations[kFirst].message, s, reply.message, 0);
    if (different.empty()) continue;
    return Unequal(kAlone, ErrorClass::kState,
                   absl::StrCat("sequence ", s, " beside others and alone, ", different));
  }
  return std::nullopt;
}

// Adds the generated tokens to `judged`. An engine that does not generate, or not by sampling, has
// nothing to repeat.
std::optional<Verdict> JudgeGeneration(const ModelRunCase& c, Observations& observations,
                                       int& judged) {
  if (Room(c) == 0) return std::nullopt;
  const Reply &first = observations[kGenerate], &again = observations[kGenerateAgain];
  if (Lacks(first) && Lacks(again)) return std::nullopt;
  for (const Reply* reply : {&first, &again}) {
    if (!reply->ok()) return EngineFailure(*reply->failure, kGeneration);
  }
  const Json &here = first.message.head, &there = again.message.head;
  for (const char* field : {"ids", "stop"}) {
    if (!here.contains(field) || !there.contains(field)) {
      return ProtocolLie(kGeneration, absl::StrCat("\"", field, "\" is missing"));
    }
    if (here[field] == there[field]) continue;
    return Unequal(kGeneration, ErrorClass::kToken,
                   absl::StrCat(field, " ", here[field].dump(), " and ", there[field].dump()));
  }
  judged += static_cast<int>(here["ids"].size());
  return std::nullopt;
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<ModelRunCase>();
  LogitsAnswer first;
  if (auto wrong = ReadEngineLogits(observations[kFirst], c, kRepeat, first)) return *wrong;
  // What stands between the two is not judged, but it must have run.
  const Reply& other = observations[kOther];
  if (!other.ok()) return EngineFailure(*other.failure, kRepeat);
  if (Room(c) > 0) static_cast<void>(observations[kGenerate]);
  if (auto wrong = JudgeRepeat(c, kAgain, kRepeat, observations)) return *wrong;
  Verdict verdict;
  for (const SequenceLogits& sequence : first.sequences) {
    verdict.judged += static_cast<int>(sequence.positions.size());
  }
  if (auto wrong = JudgeGeneration(c, observations, verdict.judged)) return *wrong;
  if (auto wrong = JudgeRepeat(c, kSecondLoad, kReload, observations)) return *wrong;
  if (auto wrong = JudgeAlone(c, observations)) return *wrong;
  return verdict;
}

}  // namespace

const Property& PropertyNamed_determinism() {
  static const Property property = {
      .name = "determinism",
      .subject = &ModelRunSubject(),
      .needs = {"model/1"},
      .kills = {"faulty:request_trace", "faulty:stale_state", "faulty:unseeded"},
      .benign = {"exact:fp32", "exact:fp32-chunked-reversed", "torch"},
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
