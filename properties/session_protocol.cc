// Every call of a decoder session is answered as the engine's documentation says, in order and out
// of it: what must be refused is refused with a typed error and changes nothing, nothing panics,
// and the logits of what is accepted are those of the exact model over the ids that the session
// evaluated, whatever happened in between and in other sessions.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/session_machine.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"
#include "properties/subjects/session.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

enum Observation : size_t { kEngineRun, kExactRun, kFirstReference };

constexpr char kStage[] = "session";

Json StepJson(const SessionCase& c, size_t index) {
  const SessionStep& step = c.steps[index];
  const std::vector<int64_t> ids = HandedIds(step, c.model->spec.vocab);
  std::string_view op = kSessionCallNames[static_cast<size_t>(step.call)];
  const bool cancelled = op.starts_with("cancelled_");
  if (cancelled) op.remove_prefix(std::string_view("cancelled_").size());
  Json json = {{"op", op}, {"sequence", step.sequence}};
  if (step.call == SessionCall::kOpen || step.call == SessionCall::kPrompt) json["ids"] = ids;
  if (step.call == SessionCall::kOpen) json["max_tokens"] = step.max_tokens;
  if (op == "decode") {
    json["id"] = ids.at(0);
    json["prediction"] = HandedPrediction(c.steps, index);
  }
  if (cancelled) json["cancelled"] = true;
  return json;
}

Message ProgramRequest(const SessionCase& c) {
  Json steps = Json::array();
  for (size_t i = 0; i < c.steps.size(); ++i) steps.push_back(StepJson(c, i));
  Message request;
  request.head = {
      {"op", "program"}, {"calls", true}, {"steps", std::move(steps)}, {"want", {"logits"}}};
  return request;
}

// The observation of one step.
struct StepAnswer {
  bool ok = false;
  std::string code, type, message;  // of a refusal
  int64_t length = -1, token = -1;
};

// An error is a lie of the protocol.
absl::StatusOr<std::vector<StepAnswer>> ReadSteps(const Message& answer, size_t count) {
  const auto steps = answer.head.find("steps");
  if (steps == answer.head.end() || !steps->is_array() || steps->size() != count) {
    return absl::InvalidArgumentError("\"steps\" is not one observation for each step");
  }
  std::vector<StepAnswer> answers;
  for (const Json& json : *steps) {
    if (!json.is_object() || !json.value("ok", Json()).is_boolean()) {
      return absl::InvalidArgumentError("a step has no \"ok\"");
    }
    StepAnswer step;
    step.ok = json["ok"].get<bool>();
    const Json error = json.value("error", Json::object());
    if (!step.ok && (!error.is_object() || !error.contains("code"))) {
      return absl::InvalidArgumentError("a failed step has no code");
    }
    for (const auto& [name, text] : {std::pair("code", &step.code), std::pair("type", &step.type),
                                     std::pair("message", &step.message)}) {
      const Json value = step.ok ? Json("") : error.value(name, Json(""));
      if (!value.is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the \"", name, "\" of a failed step is no string"));
      }
      *text = value.get<std::string>();
    }
    const auto integer = [&json](const char* name) {
      const Json value = json.value(name, Json());
      return value.is_number_integer() ? value.get<int64_t>() : -1;
    };
    step.length = integer("length");
    step.token = integer("token");
    answers.push_back(std::move(step));
  }
  return answers;
}

std::string Where(const SessionCase& c, size_t step) {
  return absl::StrCat("step ", step, " (",
                      std::string(kSessionCallNames[static_cast<size_t>(c.steps[step].call)]),
                      ", sequence ", c.steps[step].sequence, "): ");
}

Verdict Finding(std::string_view stage, ErrorClass error, std::string message) {
  return MakeVerdict(error == ErrorClass::kPanic ? VerdictKind::kCrash : VerdictKind::kEngineBug,
                     stage, error, std::move(message));
}

// What is wrong with one observation, given what the documentation says.
std::optional<Verdict> JudgeStep(const SessionCase& c, size_t step,
                                 const SessionExpectation& expected, const StepAnswer& answer) {
  const std::string where = Where(c, step);
  if (answer.code == "internal") {
    return Finding(expected.rule, ErrorClass::kPanic, where + "the engine: " + answer.message);
  }
  if (answer.ok) {
    if (expected.allowed == Allowed::kRefused) {
      return Finding(expected.rule, ErrorClass::kState,
                     absl::StrCat(where, "accepted, but must be refused before any state changes (",
                                  std::string(expected.rule), ")"));
    }
    if (expected.length >= 0 && answer.length != expected.length) {
      return Finding(
          "length", ErrorClass::kState,
          absl::StrCat(where, answer.length, " tokens evaluated, expected ", expected.length));
    }
    return std::nullopt;
  }
  const std::string refusal = absl::StrCat(where, answer.code, ": ", answer.message);
  if (expected.allowed == Allowed::kAccepted) {
    if (answer.code == "unsupported") {
      return MakeVerdict(VerdictKind::kUnsupported, kStage, ErrorClass::kNone, answer.message);
    }
    return Finding(expected.rule, ErrorClass::kRejection, refusal);
  }
  const bool typed = answer.code == "refused" && !answer.type.empty();
  if (typed || expected.by_adapter || answer.code == "unsupported") return std::nullopt;
  // Open outcomes may be inexpressible.
  if (expected.allowed == Allowed::kEither && answer.code == "bad_request") return std::nullopt;
  return Finding(expected.rule, ErrorClass::kProtocol, refusal + " (not a typed refusal)");
}

// The machine after all steps; stops at the first wrong one.
std::optional<Verdict> JudgeSteps(const SessionCase& c, const std::vector<StepAnswer>& answers,
                                  SessionMachine& machine) {
  for (size_t i = 0; i < answers.size(); ++i) {
    const SessionExpectation expected = machine.Expect(c.steps, i);
    if (auto wrong = JudgeStep(c, i, expected, answers[i])) return wrong;
    machine.Advance(c.steps, i, answers[i].ok);
  }
  return std::nullopt;
}

// Sessions of which a select was read, as a run of the session path: the prompt in one prefill, the
// accepted ids step by step.
ModelRunCase ForcedCase(const SessionCase& c, const SessionMachine& machine) {
  ModelRunCase forced{.model = c.model, .path = ModelPath::kSession, .sequences = {}};
  for (const SessionHistory& history : machine.histories()) {
    if (history.selects.empty()) continue;
    SequenceCase sequence;
    sequence.ids.assign(history.ids.begin(), history.ids.end());
    sequence.chunks = {static_cast<int32_t>(history.prompt)};
    forced.sequences.push_back(std::move(sequence));
  }
  return forced;
}

ModelRunCase ForcedCase(const SessionCase& c, Observations& observations) {
  SessionMachine machine(c.model->spec);
  auto answers = ReadSteps(observations[kEngineRun].message, c.steps.size());
  for (size_t i = 0; answers.ok() && i < answers->size(); ++i) {
    // What must not be accepted leads nowhere that the machine knows.
    const bool wrong = machine.Expect(c.steps, i).allowed == Allowed::kRefused;
    if (wrong && (*answers)[i].ok) break;
    machine.Advance(c.steps, i, (*answers)[i].ok);
  }
  ModelRunCase forced = ForcedCase(c, machine);
  // Nothing was read: the references that the report's statistics look at still need a request.
  if (forced.sequences.empty()) forced.sequences = {{.ids = {0}, .chunks = {1}}};
  return forced;
}

// The row of a select, or what is wrong with it.
absl::StatusOr<std::vector<double>> ReadRow(const Message& answer, int step, int vocab,
                                            DType& dtype) {
  const std::string name = absl::StrCat("step.", step, ".logits");
  const Tensor* tensor = answer.Find(name);
  if (tensor == nullptr) return absl::InvalidArgumentError(name + " is missing");
  if (tensor->shape != std::vector<int64_t>{1, vocab}) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is not of shape [1, ", vocab, "]"));
  }
  dtype = tensor->dtype;
  return tensor->ToDoubles();
}

bool AllFinite(absl::Span<const double> row) {
  return std::all_of(row.begin(), row.end(), [](double x) { return std::isfinite(x); });
}

// Rows of one session in the order of their positions. Two selects of one position read the same
// row, and a candidate is the largest logit of its own row, the lowest index among equals.
std::optional<Verdict> ReadRows(const SessionCase& c, const SessionHistory& history,
                                const Message& message, const std::vector<StepAnswer>& answers,
                                LogitsAnswer& rows) {
  SequenceLogits sequence{.positions = {}, .vocab = c.model->spec.vocab, .values = {}};
  for (const SessionHistory::Select& select : history.selects) {
    auto row = ReadRow(message, select.step, sequence.vocab, rows.dtype);
    if (!row.ok()) return ProtocolLie("select", row.status());
    const std::string where = Where(c, static_cast<size_t>(select.step));
    const int64_t token = answers[static_cast<size_t>(select.step)].token;
    if (AllFinite(*row) && token != ArgMax(*row)) {
      return Finding("select", ErrorClass::kToken,
                     absl::StrCat(where, "candidate ", token, ", its own logits rank ",
                                  ArgMax(*row), " first"));
    }
    if (!sequence.positions.empty() && sequence.positions.back() == select.position) {
      const auto before = sequence.row(sequence.positions.size() - 1);
      if (std::equal(row->begin(), row->end(), before.begin()) || !AllFinite(*row)) continue;
      return Finding("select_again", ErrorClass::kState,
                     where + "other logits than the select before, with nothing evaluated between");
    }
    sequence.positions.push_back(select.position);
    sequence.values.insert(sequence.values.end(), row->begin(), row->end());
  }
  rows.sequences.push_back(std::move(sequence));
  return std::nullopt;
}

// Whether the counters prove what the steps claim.
bool PathRan(const Json& head, const SessionMachine& machine) {
  bool decoded = false;
  for (const SessionHistory& history : machine.histories()) {
    decoded = decoded || history.ids.size() > history.prompt;
  }
  return (machine.histories().empty() || Counted(head, "prefill")) &&
         (!decoded || Counted(head, "step"));
}

Verdict JudgeLogits(const ModelRunCase& forced, const LogitsAnswer& rows,
                    Observations& observations) {
  LogitsAnswer exact;
  if (auto wrong = ReadExactLogits(observations[kExactRun], forced, kStage, exact)) return *wrong;
  if (auto verdict = JudgeNonfinite(exact, rows, kStage)) return *verdict;
  return JudgeTolerance({forced, ModelPath::kSession, exact, rows}, kFirstReference, observations);
}

Verdict Judge(const Case& erased, Observations& observations) {
  const auto& c = erased.As<SessionCase>();
  const Reply& reply = observations[kEngineRun];
  if (!reply.ok()) return EngineFailure(*reply.failure, "program");
  auto answers = ReadSteps(reply.message, c.steps.size());
  if (!answers.ok()) return ProtocolLie("program", answers.status());
  SessionMachine machine(c.model->spec);
  if (auto wrong = JudgeSteps(c, *answers, machine)) return *wrong;
  if (!PathRan(reply.message.head, machine)) {
    return DidNotRun(kStage, "the session");
  }
  LogitsAnswer rows;
  for (const SessionHistory& history : machine.histories()) {
    if (history.selects.empty()) continue;
    if (auto wrong = ReadRows(c, history, reply.message, *answers, rows)) return *wrong;
  }
  Verdict verdict;
  verdict.signature.stage = kStage;
  if (!rows.sequences.empty()) {
    verdict = JudgeLogits(ForcedCase(c, machine), rows, observations);
  }
  verdict.judged += static_cast<int>(c.steps.size());
  return verdict;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<SessionCase>();
  Runs plan = {
      {.role = Role::kEngine, .model = c.model, .request = ProgramRequest(c)},
      {.role = Role::kExact, .model = c.model, .request = {}, .derive = [erased](Observations& o) {
         return ExactRequest(ForcedCase(erased.As<SessionCase>(), o));
       }}};
  AppendReferences(plan, c.model, [erased](Observations& o) {
    return LogitsRequest(ForcedCase(erased.As<SessionCase>(), o), ModelPath::kSession);
  });
  return plan;
}

}  // namespace

const Property& PropertyNamed_session_protocol() {
  static const Property property = {
      .name = "session_protocol",
      .subject = &SessionSubject(),
      .needs = {"model/1", "session/1"},
      .kills = {"faulty:dirty_refusal", "faulty:half_prefill", "faulty:shared_cache"},
      .benign = EnginesInFp32(),
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
