#include "engines/reference_calls.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/reference_program.h"
#include "engines/request_fields.h"

namespace crosscheck {
namespace {

struct Call {
  std::string op;
  int64_t sequence = 0;
  std::vector<int64_t> ids;  // of open and prompt, or the one of decode
  int64_t max_tokens = 0;
  int64_t prediction = -1;  // the step of a select
  bool cancelled = false;
};

absl::StatusOr<Call> ReadCall(const Json& object) {
  if (!object.is_object()) return absl::InvalidArgumentError("field \"steps\": expected objects");
  Call call;
  absl::StatusOr<std::string> op = StringField(object, "op");
  if (!op.ok()) return op.status();
  call.op = *std::move(op);
  const absl::StatusOr<int64_t> sequence = IntegerField(object, "sequence");
  if (!sequence.ok()) return sequence.status();
  call.sequence = *sequence;
  const absl::StatusOr<bool> cancelled = OptionalFlag(object, "cancelled");
  if (!cancelled.ok()) return cancelled.status();
  call.cancelled = *cancelled;
  if (call.op == "open" || call.op == "prompt") {
    absl::StatusOr<std::vector<int64_t>> ids = IntegersField(object, "ids");
    if (!ids.ok()) return ids.status();
    call.ids = *std::move(ids);
  }
  const auto integer = [&object](const char* name, int64_t& value) {
    const absl::StatusOr<int64_t> field = IntegerField(object, name);
    if (field.ok()) value = *field;
    return field.status();
  };
  absl::Status status;
  if (call.op == "open") status = integer("max_tokens", call.max_tokens);
  if (call.op == "decode") {
    status = integer("id", call.ids.emplace_back());
    if (status.ok()) status = integer("prediction", call.prediction);
  }
  if (!status.ok()) return status;
  return call;
}

absl::Status OutOfOrder(std::string_view what) {
  return absl::FailedPreconditionError(absl::string_view(what.data(), what.size()));
}

// A session from open to reset; `live` holds what it evaluated.
struct Session {
  std::vector<int64_t> prompt;
  std::unique_ptr<ReferenceSession> live;
  Logits row;               // of the last evaluated position
  int64_t prediction = -1;  // the live one: the step of its select
  bool finished = false;
};

// What a call answers beside "ok".
struct Outcome {
  int64_t length = -1;          // tokens evaluated; negative: not said
  const Logits* row = nullptr;  // of select
};

class Sessions {
 public:
  explicit Sessions(const ReferenceModel& model) : model_(model) {}

  absl::StatusOr<Outcome> Run(const Call& call, int64_t step) {
    if (call.op == "open") return Open(call);
    if (call.op == "prompt") return Prompt(call);
    if (call.op == "reset") {
      sessions_.erase(call.sequence);
      return Outcome();
    }
    const auto found = sessions_.find(call.sequence);
    if (found == sessions_.end()) {
      return absl::InvalidArgumentError(absl::StrCat("sequence ", call.sequence, " is not open"));
    }
    Session& session = found->second;
    if (session.finished) return OutOfOrder("the session is finished");
    if (call.op == "prefill") return Prefill(call, session);
    if (call.op == "select") return Select(session, step);
    if (call.op == "decode") return Decode(call, session);
    if (call.op == "finish") {
      session.finished = true;
      session.prediction = -1;
      return Outcome();
    }
    return absl::UnimplementedError(absl::StrCat("step \"", call.op, "\""));
  }

  size_t prefilled() const { return prefilled_; }
  size_t stepped() const { return stepped_; }

 private:
  absl::StatusOr<Outcome> Open(const Call& call) {
    sessions_.erase(call.sequence);
    const auto ids = CheckedIds(call.ids, call.max_tokens, model_.spec());
    if (!ids.ok()) return ids.status();
    sessions_[call.sequence].prompt = call.ids;
    return Outcome{.length = 0};
  }

  absl::StatusOr<Outcome> Prompt(const Call& call) const {
    const auto ids = CheckedIds(call.ids, 0, model_.spec());
    if (!ids.ok()) return ids.status();
    const absl::StatusOr<Logits> row =
        model_.NewSession()->Extend({.ids = *ids, .all_positions = false});
    if (!row.ok()) return row.status();
    return Outcome();
  }

  absl::StatusOr<Outcome> Prefill(const Call& call, Session& session) {
    if (session.live != nullptr) return OutOfOrder("the session is prefilled already");
    if (call.cancelled) return OutOfOrder("cancelled before prefill");
    std::unique_ptr<ReferenceSession> live = model_.NewSession();
    const std::vector<int32_t> ids(session.prompt.begin(), session.prompt.end());
    absl::StatusOr<Logits> row = live->Extend({.ids = ids, .all_positions = false});
    if (!row.ok()) return row.status();
    session.live = std::move(live);
    session.row = *std::move(row);
    prefilled_ += ids.size();
    return Outcome{.length = session.live->length()};
  }

  static absl::StatusOr<Outcome> Select(Session& session, int64_t step) {
    if (session.live == nullptr) return OutOfOrder("select before prefill");
    session.prediction = step;
    return Outcome{.length = session.live->length(), .row = &session.row};
  }

  absl::StatusOr<Outcome> Decode(const Call& call, Session& session) {
    if (session.prediction < 0 || call.prediction != session.prediction) {
      return OutOfOrder("the prediction is not the live one of the session");
    }
    if (call.cancelled) return OutOfOrder("cancelled before decode");
    const auto ids = CheckedIds(call.ids, session.live->length(), model_.spec());
    if (!ids.ok()) return ids.status();
    absl::StatusOr<Logits> row = session.live->Extend({.ids = *ids, .all_positions = false});
    if (!row.ok()) return row.status();
    session.row = *std::move(row);
    session.prediction = -1;
    ++stepped_;
    return Outcome{.length = session.live->length()};
  }

  const ReferenceModel& model_;
  std::map<int64_t, Session> sessions_;
  size_t prefilled_ = 0, stepped_ = 0;
};

}  // namespace

absl::StatusOr<Message> AnswerCalls(const ReferenceModel& model, DType answers,
                                    const Json& request) {
  const absl::StatusOr<const Json*> list = ArrayField(request, "steps");
  if (!list.ok()) return list.status();
  const absl::StatusOr<bool> wants_logits = WantsLogits(request);
  if (!wants_logits.ok()) return wants_logits.status();
  std::vector<Call> calls;
  for (const Json& object : **list) {
    absl::StatusOr<Call> call = ReadCall(object);
    if (!call.ok()) return call.status();
    calls.push_back(*std::move(call));
  }
  Sessions sessions(model);
  Message answer;
  Json observations = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    const absl::StatusOr<Outcome> outcome = sessions.Run(calls[i], static_cast<int64_t>(i));
    if (!outcome.ok()) {
      observations.push_back(FailedStep(outcome.status()));
      continue;
    }
    Json observation = {{"ok", true}};
    if (outcome->length >= 0) observation["length"] = outcome->length;
    if (outcome->row != nullptr) observation["token"] = ArgMax(outcome->row->row(0));
    observations.push_back(std::move(observation));
    if (outcome->row == nullptr || !*wants_logits) continue;
    answer.tensors.push_back(MakeAnswerTensor(absl::StrCat("step.", i, ".logits"),
                                              {1, outcome->row->vocab}, outcome->row->values,
                                              answers));
  }
  answer.head = {{"steps", std::move(observations)},
                 {"counters", {{"prefill", sessions.prefilled()}, {"step", sessions.stepped()}}}};
  return answer;
}

}  // namespace crosscheck
