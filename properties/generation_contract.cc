// What a caller of `generate` relies on, whatever the model: budget, end-of-sequence and stop ids,
// the reason of the end, the context, log-probs, streaming and the counts of predictions. It is
// judged against the engine's own logits over the tokens that it produced; whether those logits are
// right is the matter of logit_closeness and greedy_prefix.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engines/generate_message.h"
#include "properties/judges/failure.h"
#include "properties/judges/greedy.h"
#include "properties/logits.h"
#include "properties/property.h"
#include "properties/subjects/generation.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

enum Observation : size_t { kGenerateRun, kOwnLogitsRun, kStreamRun };

Message GenerateRequest(const GenerationCase& c, bool stream) {
  const SamplingParameters sampled{
      .temperature = c.temperature, .top_k = c.top_k, .top_p = c.top_p};
  Message request = GenerateMessage(c.ids, c.max_tokens, c.sampled ? sampled : kGreedy, c.seed);
  request.head["stop"] = c.stop;
  request.head["logprobs"] = c.log_probs;
  request.head["stream"] = stream;
  if (c.stop_string) request.head["stop_strings"] = {"a"};
  return request;
}

ModelRunCase ForcedCase(const GenerationCase& c, const Generated& generated) {
  return {.model = c.model,
          .path = ModelPath::kSession,
          .sequences = {ForcedSequence(c.ids, generated, c.model->spec)}};
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<GenerationCase>();
  Runs plan = {
      {.role = Role::kEngine, .model = c.model, .request = GenerateRequest(c, false)},
      {.role = Role::kEngine, .model = c.model, .request = {}, .derive = [erased](Observations& o) {
         const auto generated = ReadGenerated(o[kGenerateRun].message);
         const auto& run = erased.As<GenerationCase>();
         return LogitsRequest(ForcedCase(run, generated.value_or(Generated())),
                              ModelPath::kSession);
       }}};
  if (c.stream) {
    plan.push_back({.role = Role::kEngine, .model = c.model, .request = GenerateRequest(c, true)});
  }
  return plan;
}

Verdict Bug(std::string_view stage, ErrorClass error, std::string message) {
  return MakeVerdict(VerdictKind::kEngineBug, stage, error, std::move(message));
}

bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Number of ids, which ids, and whether the reason fits them.
std::optional<Verdict> JudgeIds(const GenerationCase& c, const Generated& generated) {
  const ModelSpec& spec = c.model->spec;
  const auto count = static_cast<int>(generated.ids.size());
  const auto prompt = static_cast<int>(c.ids.size());
  if (count > c.max_tokens) {
    return Bug("budget", ErrorClass::kToken,
               absl::StrCat(count, " tokens where at most ", c.max_tokens, " were asked for"));
  }
  // The last token may be produced from the last position of the context.
  const int most = spec.max_positions - prompt + 1;
  if (count > most) {
    return Bug("context", ErrorClass::kToken,
               absl::StrCat(count, " tokens after a prompt of ", prompt, " in a context of ",
                            spec.max_positions));
  }
  for (const int32_t id : generated.ids) {
    if (id < 0 || id >= spec.vocab) {
      return Bug("ids", ErrorClass::kToken, absl::StrCat("token ", id, " outside the vocabulary"));
    }
    if (id != spec.eos && !Contains(c.stop, id)) continue;
    return Bug("ids", ErrorClass::kToken,
               absl::StrCat("the output holds id ", id, ", which ends generation"));
  }
  const bool full = count == c.max_tokens || prompt + count >= spec.max_positions;
  if (generated.stop == "length" && !full) {
    return Bug("reason", ErrorClass::kToken,
               absl::StrCat("ended by length after ", count, " of ", c.max_tokens, " tokens"));
  }
  if (generated.stop != "length" && count == c.max_tokens) {
    return Bug("reason", ErrorClass::kToken,
               absl::StrCat("ended by ", generated.stop, " with the whole budget used"));
  }
  if (generated.stop == "stop" && c.stop.empty()) {
    return Bug("reason", ErrorClass::kToken, "stopped at a stop id where none was given");
  }
  return std::nullopt;
}

// "exactly one prediction is open when the loop ends": opened = consumed + 1, one for each token
// and one for the id that ended it.
std::optional<Verdict> JudgeTrace(const GenerationCase& c, const Json& head,
                                  const Generated& generated) {
  const Json counters = head.value("counters", Json::object());
  if (!counters.contains("opened") || !counters.contains("consumed")) return std::nullopt;
  const Json &opened = counters["opened"], &consumed = counters["consumed"];
  if (!opened.is_number_integer() || !consumed.is_number_integer()) {
    return ProtocolLie("trace", "the counters of predictions are no integers");
  }
  const auto tokens = static_cast<int64_t>(generated.ids.size());
  const int64_t expected = c.max_tokens == 0 ? 0 : tokens + (generated.stop == "length" ? 0 : 1);
  if (opened == expected && consumed == std::max<int64_t>(0, expected - 1)) return std::nullopt;
  return Bug("trace", ErrorClass::kState,
             absl::StrCat(opened.dump(), " predictions opened, ", consumed.dump(), " consumed, ",
                          tokens, " tokens, ended by ", generated.stop));
}

// Greedy: every token, and the id that ended it, is the largest of the engine's own logits, the
// lowest index among equals.
std::optional<Verdict> JudgeChoices(const GenerationCase& c, const Generated& generated,
                                    const SequenceLogits& own) {
  const int eos = c.model->spec.eos;
  for (size_t i = 0; i < own.positions.size(); ++i) {
    const absl::Span<const double> row = own.row(i);
    if (std::any_of(row.begin(), row.end(), [](double x) { return !std::isfinite(x); })) break;
    const int best = ArgMax(row);
    if (i < generated.ids.size()) {
      if (generated.ids[i] == best) continue;
      return Bug("choice", ErrorClass::kToken,
                 absl::StrCat("token ", i, " is ", generated.ids[i],
                              ", the engine's own logits rank ", best, " first"));
    }
    const bool right = (generated.stop == "eos" && best == eos) ||
                       (generated.stop == "stop" && Contains(c.stop, best));
    if (generated.stop == "length" || right) continue;
    return Bug("reason", ErrorClass::kToken,
               absl::StrCat("ended by ", generated.stop, ", but the next token is ", best));
  }
  return std::nullopt;
}

// ln p of `id` under softmax(row / temperature).
double LogProbability(absl::Span<const double> row, double temperature, int id) {
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const double logit : row) sum += std::exp((logit - largest) / temperature);
  return (row[static_cast<size_t>(id)] - largest) / temperature - std::log(sum);
}

// First-order error of a log-softmax in fp32: scaling and centring round each of two exponents
// twice, exp and the sum of V terms round relatively, the logarithm and the final difference once
// each. Every rounding is at most half an ulp (2^-24); a factor of two covers the implementation's
// own exp and log.
double LogProbabilityBound(absl::Span<const double> row, double temperature, double exact) {
  double largest = 0;
  for (const double logit : row) largest = std::max(largest, std::abs(logit));
  const auto terms = static_cast<double>(row.size());
  return std::ldexp(1.0, -23) *
         (4 * largest / temperature + terms + 4 + std::log(terms) + std::abs(exact));
}

std::optional<Verdict> JudgeLogProbs(const GenerationCase& c, const Message& answer,
                                     const Generated& generated, const SequenceLogits& own,
                                     Verdict& verdict) {
  const Tensor* tensor = answer.Find("logprobs");
  const auto count = static_cast<int64_t>(generated.ids.size());
  if (tensor == nullptr || tensor->shape != std::vector<int64_t>{count}) {
    return ProtocolLie("logprobs", absl::StrCat("no tensor logprobs of ", count, " values"));
  }
  const auto values = tensor->ToDoubles();
  if (!values.ok()) return ProtocolLie("logprobs", values.status());
  const double temperature = c.sampled ? c.temperature : 1;
  Measure worst{.metric = "logprob", .path = "session", .error = 0, .bound = 1, .floor_bound = 1};
  std::string where;
  const size_t judged = std::min(values->size(), own.positions.size());
  for (size_t i = 0; i < judged; ++i) {
    const double exact = LogProbability(own.row(i), temperature, generated.ids[i]);
    const double bound = LogProbabilityBound(own.row(i), temperature, exact);
    const double error = std::abs((*values)[i] - exact);
    // Written so that a NaN is worse than everything.
    if (error / bound <= worst.error / worst.bound) continue;
    worst.error = std::isfinite(error) ? error : std::numeric_limits<double>::max();
    worst.bound = worst.floor_bound = bound;
    where = absl::StrCat("token ", i, ": ", (*values)[i], ", from its own logits ", exact,
                         ", allowed ", bound);
  }
  verdict.measures.push_back(worst);
  if (worst.error <= worst.bound) return std::nullopt;
  Verdict bug = Bug("logprobs", ErrorClass::kNumeric, where);
  bug.measures = verdict.measures;
  bug.marginal = worst.error < kMarginalFactor * worst.bound;
  return bug;
}

std::optional<Verdict> JudgeStream(const GenerationCase& c, const Message& whole,
                                   Observations& observations) {
  const Reply& reply = observations[kStreamRun];
  if (!reply.ok()) return EngineFailure(*reply.failure, "stream");
  const Message& streamed = reply.message;
  const Json ids = whole.head["ids"];
  if (streamed.head.value("streamed", Json()) != ids) {
    return Bug("stream", ErrorClass::kToken,
               absl::StrCat("streamed ", streamed.head.value("streamed", Json()).dump(),
                            ", the whole answer is ", ids.dump()));
  }
  const bool same = streamed.head.value("ids", Json()) == ids &&
                    streamed.head.value("stop", Json()) == whole.head["stop"];
  if (!same) {
    return Bug("stream", ErrorClass::kToken, "another answer with streaming than without");
  }
  if (!c.log_probs) return std::nullopt;
  const Tensor *a = whole.Find("logprobs"), *b = streamed.Find("logprobs");
  if (b != nullptr && a->bytes == b->bytes) return std::nullopt;
  return Bug("stream", ErrorClass::kNumeric, "other log-probs with streaming than without");
}

// Beyond the context: a typed refusal is as right as an end by length.
bool MayRefuse(const GenerationCase& c, const Failure& failure) {
  const int64_t positions = static_cast<int64_t>(c.ids.size()) + c.max_tokens;
  return failure.kind == FailureKind::kRefused && !failure.type.empty() &&
         positions > c.model->spec.max_positions && c.max_tokens > 0;
}

std::optional<Verdict> JudgeOwnLogits(const GenerationCase& c, const Message& answer,
                                      const Generated& generated, Observations& observations,
                                      Verdict& verdict) {
  const bool judges_choices = !c.sampled && c.max_tokens > 0;
  if (!judges_choices && (!c.log_probs || generated.ids.empty())) return std::nullopt;
  const Reply& reply = observations[kOwnLogitsRun];
  if (!reply.ok()) return EngineFailure(*reply.failure, "logits");
  auto own = ReadLogits(reply.message, ForcedCase(c, generated), ModelPath::kSession);
  if (!own.ok()) return ProtocolLie("logits", own.status());
  SequenceLogits& rows = own->sequences.at(0);
  // An engine may answer every position of the prefill; the first choice is made at its last.
  const auto first = static_cast<size_t>(
      std::find(rows.positions.begin(), rows.positions.end(), static_cast<int>(c.ids.size()) - 1) -
      rows.positions.begin());
  rows.positions.erase(rows.positions.begin(),
                       rows.positions.begin() + static_cast<ptrdiff_t>(first));
  rows.values.erase(rows.values.begin(),
                    rows.values.begin() + static_cast<ptrdiff_t>(first) * rows.vocab);
  verdict.judged += static_cast<int>(rows.positions.size());
  if (judges_choices) {
    if (auto wrong = JudgeChoices(c, generated, rows)) return wrong;
  }
  if (!c.log_probs || generated.ids.empty()) return std::nullopt;
  return JudgeLogProbs(c, answer, generated, rows, verdict);
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<GenerationCase>();
  Verdict verdict;
  verdict.signature.stage = "session";
  verdict.judged = 1;
  const Reply& reply = observations[kGenerateRun];
  if (!reply.ok() && MayRefuse(c, *reply.failure)) return verdict;
  Generated generated;
  if (auto wrong = ReadGeneration(reply, "generate", generated)) return *wrong;
  if (auto wrong = JudgeIds(c, generated)) return *wrong;
  if (auto wrong = JudgeTrace(c, reply.message.head, generated)) return *wrong;
  if (auto wrong = JudgeOwnLogits(c, reply.message, generated, observations, verdict)) {
    return *wrong;
  }
  if (c.stream) {
    if (auto wrong = JudgeStream(c, reply.message, observations)) return *wrong;
  }
  return verdict;
}

}  // namespace

const Property& PropertyNamed_generation_contract() {
  static const Property property = {.name = "generation_contract",
                                    .subject = &GenerationSubject(),
                                    .needs = {"model/1", "generate/1"},
                                    .kills = {"faulty:second_token", "faulty:extra_token",
                                              "faulty:eos_included", "faulty:shifted_logprobs"},
                                    .benign = EnginesInFp32(),
                                    .plan = Plan,
                                    .judge = Judge};
  return property;
}

}  // namespace crosscheck
