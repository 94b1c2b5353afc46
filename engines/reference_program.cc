#include "engines/reference_program.h"

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/engine.h"
#include "engines/reference_calls.h"
#include "engines/request_fields.h"

namespace crosscheck {
namespace {

struct Step {
  std::string op;
  int64_t sequence = 0;
  std::vector<int64_t> ids;  // of prefill, or the one of decode
};

absl::StatusOr<Step> ReadStep(const Json& object) {
  if (!object.is_object()) return absl::InvalidArgumentError("field \"steps\": expected objects");
  Step step;
  absl::StatusOr<std::string> op = StringField(object, "op");
  if (!op.ok()) return op.status();
  step.op = *std::move(op);
  const absl::StatusOr<int64_t> sequence = IntegerField(object, "sequence");
  if (!sequence.ok()) return sequence.status();
  step.sequence = *sequence;
  if (step.op == "prefill") {
    absl::StatusOr<std::vector<int64_t>> ids = IntegersField(object, "ids");
    if (!ids.ok()) return ids.status();
    step.ids = *std::move(ids);
  } else if (step.op == "decode") {
    const absl::StatusOr<int64_t> id = IntegerField(object, "id");
    if (!id.ok()) return id.status();
    step.ids = {*id};
  }
  return step;
}

// The sequences of one program.
class Sequences {
 public:
  explicit Sequences(const ReferenceModel& model) : model_(model) {}

  // Logits of the last position; of no row for reset.
  absl::StatusOr<Logits> Run(const Step& step) {
    if (step.op == "reset") {
      sessions_.erase(step.sequence);
      return Logits();
    }
    if (step.op != "prefill" && step.op != "decode") {
      return absl::UnimplementedError(
          absl::StrCat("step \"", step.op, "\"; served: prefill, decode, reset"));
    }
    const auto found = sessions_.find(step.sequence);
    if (step.op == "decode" && found == sessions_.end()) {
      return absl::OutOfRangeError(
          absl::StrCat("decode of sequence ", step.sequence, ", which has no tokens"));
    }
    const int64_t length = found == sessions_.end() ? 0 : found->second->length();
    const auto ids = CheckedIds(step.ids, length, model_.spec());
    if (!ids.ok()) return ids.status();
    if (found != sessions_.end()) {
      return found->second->Extend({.ids = *ids, .all_positions = false});
    }
    std::unique_ptr<ReferenceSession> session = model_.NewSession();
    absl::StatusOr<Logits> logits = session->Extend({.ids = *ids, .all_positions = false});
    if (logits.ok()) sessions_[step.sequence] = std::move(session);
    return logits;
  }

 private:
  const ReferenceModel& model_;
  std::map<int64_t, std::unique_ptr<ReferenceSession>> sessions_;
};

absl::StatusOr<std::vector<Step>> ReadSteps(const Json& request) {
  const absl::StatusOr<const Json*> list = ArrayField(request, "steps");
  if (!list.ok()) return list.status();
  std::vector<Step> steps;
  for (const Json& object : **list) {
    absl::StatusOr<Step> step = ReadStep(object);
    if (!step.ok()) return step.status();
    steps.push_back(*std::move(step));
  }
  return steps;
}

}  // namespace

absl::StatusOr<bool> WantsLogits(const Json& request) {
  const absl::StatusOr<const Json*> want = ArrayField(request, "want");
  if (!want.ok()) return want.status();
  for (const Json& item : **want) {
    if (!item.is_string()) return absl::InvalidArgumentError("field \"want\": expected strings");
    if (item != "logits") return absl::UnimplementedError(absl::StrCat("want ", item.dump()));
  }
  return !(*want)->empty();
}

Json FailedStep(const absl::Status& status) {
  const Reply reply = FailedReply(status);
  return {{"ok", false},
          {"error",
           {{"code", kFailureKindNames[static_cast<int>(reply.failure->kind)]},
            {"message", reply.failure->message},
            {"type", reply.failure->type}}}};
}

absl::StatusOr<Message> AnswerProgram(const ReferenceModel& model, DType answers,
                                      const Json& request) {
  const absl::StatusOr<bool> calls = OptionalFlag(request, "calls");
  if (!calls.ok()) return calls.status();
  if (*calls) return AnswerCalls(model, answers, request);
  const absl::StatusOr<std::vector<Step>> steps = ReadSteps(request);
  if (!steps.ok()) return steps.status();
  const absl::StatusOr<bool> wants_logits = WantsLogits(request);
  if (!wants_logits.ok()) return wants_logits.status();
  Sequences sequences(model);
  Message answer;
  Json observations = Json::array();
  size_t prefill = 0;
  size_t decoded = 0;
  for (size_t i = 0; i < steps->size(); ++i) {
    const Step& step = (*steps)[i];
    const absl::StatusOr<Logits> logits = sequences.Run(step);
    if (!logits.ok()) {
      observations.push_back(FailedStep(logits.status()));
      continue;
    }
    observations.push_back({{"ok", true}});
    (step.op == "prefill" ? prefill : decoded) += step.ids.size();
    if (*wants_logits && logits->rows() > 0) {
      answer.tensors.push_back(MakeAnswerTensor(absl::StrCat("step.", i, ".logits"),
                                                {logits->rows(), logits->vocab}, logits->values,
                                                answers));
    }
  }
  answer.head = {{"steps", std::move(observations)},
                 {"counters", {{"prefill", prefill}, {"step", decoded}}}};
  return answer;
}

absl::StatusOr<std::vector<int32_t>> CheckedIds(const std::vector<int64_t>& ids, int64_t length,
                                                const ModelSpec& spec) {
  if (ids.empty()) return absl::OutOfRangeError("no ids");
  for (const int64_t id : ids) {
    if (id < 0 || id >= spec.vocab) {
      return absl::OutOfRangeError(
          absl::StrCat("id ", id, " is outside the vocabulary of ", spec.vocab));
    }
  }
  const int64_t positions = length + static_cast<int64_t>(ids.size());
  if (positions > spec.max_positions) {
    return absl::OutOfRangeError(
        absl::StrCat(positions, " positions in a context of ", spec.max_positions));
  }
  return std::vector<int32_t>(ids.begin(), ids.end());
}

Tensor MakeAnswerTensor(std::string name, std::vector<int64_t> shape,
                        absl::Span<const double> values, DType dtype) {
  if (dtype == DType::kF64) return MakeTensor(std::move(name), std::move(shape), values);
  const std::vector<float> narrow(values.begin(), values.end());
  return MakeTensor(std::move(name), std::move(shape), absl::MakeConstSpan(narrow));
}

}  // namespace crosscheck
