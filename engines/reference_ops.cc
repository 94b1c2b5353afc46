#include "engines/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engines/reference_program.h"
#include "engines/request_fields.h"
#include "reference/metrics.h"

namespace crosscheck {
namespace {

struct Sequence {
  std::vector<int32_t> ids;
  std::vector<uint8_t> mask;    // empty: all real
  std::vector<int64_t> chunks;  // at least one
};

absl::StatusOr<std::vector<int32_t>> IdsField(const Json& object, const ModelSpec& spec) {
  const absl::StatusOr<std::vector<int64_t>> ids = IntegersField(object, "ids");
  if (!ids.ok()) return ids.status();
  return CheckedIds(*ids, 0, spec);
}

absl::StatusOr<std::vector<uint8_t>> MaskField(const Json& object, size_t length) {
  if (FindField(object, "mask") == nullptr) return std::vector<uint8_t>();
  const absl::StatusOr<std::vector<int64_t>> mask = IntegersField(object, "mask");
  if (!mask.ok()) return mask.status();
  const bool left_padding = mask->size() == length && std::is_sorted(mask->begin(), mask->end()) &&
                            !mask->empty() && mask->front() >= 0 && mask->back() == 1;
  if (!left_padding) {
    return absl::InvalidArgumentError(absl::StrCat("field \"mask\": expected ", length,
                                                   " values, zeros and then at least one 1"));
  }
  return std::vector<uint8_t>(mask->begin(), mask->end());
}

absl::StatusOr<std::vector<int64_t>> ChunksField(const Json& object, int64_t length) {
  if (FindField(object, "chunks") == nullptr) return std::vector<int64_t>{length};
  absl::StatusOr<std::vector<int64_t>> chunks = IntegersField(object, "chunks");
  if (!chunks.ok()) return chunks.status();
  int64_t sum = 0;
  bool positive = !chunks->empty();
  for (const int64_t chunk : *chunks) {
    positive = positive && chunk > 0 && chunk <= length;
    sum = positive ? sum + chunk : sum;
    positive = positive && sum <= length;
  }
  if (positive) return chunks;
  return absl::InvalidArgumentError(
      absl::StrCat("field \"chunks\": expected positive lengths with a sum in 1..", length));
}

absl::StatusOr<Sequence> ReadSequence(const Json& object, const ModelSpec& spec) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError("field \"sequences\": expected objects");
  }
  Sequence sequence;
  absl::StatusOr<std::vector<int32_t>> ids = IdsField(object, spec);
  if (!ids.ok()) return ids.status();
  sequence.ids = *std::move(ids);
  absl::StatusOr<std::vector<uint8_t>> mask = MaskField(object, sequence.ids.size());
  if (!mask.ok()) return mask.status();
  sequence.mask = *std::move(mask);
  auto chunks = ChunksField(object, static_cast<int64_t>(sequence.ids.size()));
  if (!chunks.ok()) return chunks.status();
  sequence.chunks = *std::move(chunks);
  return sequence;
}

// Router logits of every layer that has a router, all positions so far.
class RouterTaps : public TapSink {
 public:
  bool Wants(int, std::string_view stage) const override { return stage == "moe.router_logits"; }
  void Tap(int layer, std::string_view, std::vector<int64_t> shape,
           std::vector<double> values) override {
    experts_ = shape[1];
    std::vector<double>& rows = layers_[layer];
    rows.insert(rows.end(), values.begin(), values.end());
  }
  // [layers, positions, experts].
  Tensor Take(std::string name, DType answers) const {
    std::vector<double> all;
    for (const auto& [layer, rows] : layers_) all.insert(all.end(), rows.begin(), rows.end());
    const auto count = static_cast<int64_t>(layers_.size());
    const int64_t positions = all.empty() ? 0 : static_cast<int64_t>(all.size()) / count / experts_;
    return MakeAnswerTensor(std::move(name), {count, positions, experts_}, all, answers);
  }

 private:
  std::map<int, std::vector<double>> layers_;
  int64_t experts_ = 0;
};

absl::StatusOr<Logits> Extend(ReferenceSession& session, const Sequence& sequence, size_t begin,
                              size_t count, bool all_positions, TapSink* taps) {
  ExtendRequest request;
  request.taps = taps;
  request.ids = absl::MakeConstSpan(sequence.ids).subspan(begin, count);
  if (!sequence.mask.empty()) {
    request.mask = absl::MakeConstSpan(sequence.mask).subspan(begin, count);
  }
  request.all_positions = all_positions;
  return session.Extend(request);
}

// Chunks, then single steps; rows of the last position of the last chunk and of every step.
absl::StatusOr<Logits> RunSession(const ReferenceModel& model, const Sequence& sequence,
                                  TapSink* taps) {
  const std::unique_ptr<ReferenceSession> session = model.NewSession();
  size_t at = 0;
  Logits rows;
  for (const int64_t chunk : sequence.chunks) {
    absl::StatusOr<Logits> last =
        Extend(*session, sequence, at, static_cast<size_t>(chunk), false, taps);
    if (!last.ok()) return last.status();
    rows = *std::move(last);
    at += static_cast<size_t>(chunk);
  }
  for (; at < sequence.ids.size(); ++at) {
    const absl::StatusOr<Logits> row = Extend(*session, sequence, at, 1, false, taps);
    if (!row.ok()) return row.status();
    rows.values.insert(rows.values.end(), row->values.begin(), row->values.end());
  }
  return rows;
}

absl::StatusOr<Logits> RunPath(const ReferenceModel& model, const std::string& path,
                               const Sequence& sequence, TapSink* taps) {
  if (path == "session") return RunSession(model, sequence, taps);
  return Extend(*model.NewSession(), sequence, 0, sequence.ids.size(), path == "readout", taps);
}

Json Counters(const std::string& path, const std::vector<Sequence>& sequences) {
  size_t tokens = 0;
  size_t prefill = 0;
  for (const Sequence& sequence : sequences) {
    tokens += sequence.ids.size();
    prefill += static_cast<size_t>(
        std::accumulate(sequence.chunks.begin(), sequence.chunks.end(), int64_t{0}));
  }
  if (path != "session") return {{path, tokens}};
  return {{"prefill", prefill}, {"step", tokens - prefill}};
}

absl::StatusOr<std::vector<Sequence>> ReadSequences(const Json& request, const ModelSpec& spec) {
  const absl::StatusOr<const Json*> list = ArrayField(request, "sequences");
  if (!list.ok()) return list.status();
  if ((*list)->empty()) {
    return absl::InvalidArgumentError("field \"sequences\": expected at least one");
  }
  std::vector<Sequence> sequences;
  for (const Json& object : **list) {
    absl::StatusOr<Sequence> sequence = ReadSequence(object, spec);
    if (!sequence.ok()) return sequence.status();
    sequences.push_back(*std::move(sequence));
  }
  return sequences;
}

absl::StatusOr<Message> AnswerLogits(const ReferenceModel& model, DType answers,
                                     const Json& request) {
  const absl::StatusOr<std::string> path = StringField(request, "path");
  if (!path.ok()) return path.status();
  const absl::StatusOr<bool> batched = OptionalFlag(request, "batched");
  if (!batched.ok()) return batched.status();
  if (*batched) return absl::UnimplementedError("batched sequences");
  const absl::StatusOr<bool> with_router = OptionalFlag(request, "router");
  if (!with_router.ok()) return with_router.status();
  if (*path != "prompt" && *path != "readout" && *path != "session") {
    return absl::UnimplementedError(
        absl::StrCat("path \"", *path, "\"; served: prompt, readout, session"));
  }
  const auto sequences = ReadSequences(request, model.spec());
  if (!sequences.ok()) return sequences.status();
  Message answer;
  Json positions = Json::array();
  for (size_t i = 0; i < sequences->size(); ++i) {
    const Sequence& sequence = (*sequences)[i];
    RouterTaps router;
    const absl::StatusOr<Logits> logits =
        RunPath(model, *path, sequence, *with_router ? &router : nullptr);
    if (!logits.ok()) return logits.status();
    std::vector<int64_t> answered(static_cast<size_t>(logits->rows()));
    std::iota(answered.begin(), answered.end(),
              static_cast<int64_t>(sequence.ids.size() - answered.size()));
    positions.push_back(std::move(answered));
    answer.tensors.push_back(MakeAnswerTensor(
        absl::StrCat("logits.", i), {logits->rows(), logits->vocab}, logits->values, answers));
    if (*with_router) {
      answer.tensors.push_back(router.Take(absl::StrCat("router.", i), answers));
    }
  }
  answer.head = {{"positions", std::move(positions)}, {"counters", Counters(*path, *sequences)}};
  return answer;
}

absl::StatusOr<Message> AnswerNll(const ReferenceModel& model, DType answers, const Json& request) {
  const absl::StatusOr<std::vector<int32_t>> ids = IdsField(request, model.spec());
  if (!ids.ok()) return ids.status();
  const absl::StatusOr<Logits> logits = model.NewSession()->Extend({.ids = *ids});
  if (!logits.ok()) return logits.status();
  std::vector<double> nll;
  for (size_t i = 0; i + 1 < ids->size(); ++i) {
    nll.push_back(NegativeLogLikelihood(logits->row(static_cast<int>(i)), (*ids)[i + 1]));
  }
  Message answer;
  answer.tensors.push_back(
      MakeAnswerTensor("nll", {static_cast<int64_t>(nll.size())}, nll, answers));
  return answer;
}

// Keeps the wanted stages of every layer under the protocol's names; no stages: all.
class TensorTaps : public TapSink {
 public:
  TensorTaps(std::vector<std::string> stages, DType answers)
      : stages_(std::move(stages)), answers_(answers) {}

  bool Wants(int, std::string_view stage) const override {
    return stages_.empty() || std::find(stages_.begin(), stages_.end(), stage) != stages_.end();
  }
  void Tap(int layer, std::string_view stage, std::vector<int64_t> shape,
           std::vector<double> values) override {
    std::string name(stage);
    if (layer >= 0) name = absl::StrFormat("L%02d.%s", layer, name);
    tensors.push_back(MakeAnswerTensor(std::move(name), std::move(shape), values, answers_));
  }

  std::vector<Tensor> tensors;

 private:
  const std::vector<std::string> stages_;
  const DType answers_;
};

absl::StatusOr<Message> RunTaps(const ReferenceModel& model, DType answers, const Json& request,
                                std::vector<std::string> stages) {
  const absl::StatusOr<std::vector<int32_t>> ids = IdsField(request, model.spec());
  if (!ids.ok()) return ids.status();
  TensorTaps taps(std::move(stages), answers);
  const absl::StatusOr<Logits> logits =
      model.NewSession()->Extend({.ids = *ids, .all_positions = false, .taps = &taps});
  if (!logits.ok()) return logits.status();
  if (taps.Wants(-1, "logits")) taps.Tap(-1, "logits", {1, logits->vocab}, logits->values);
  Message answer;
  answer.tensors = std::move(taps.tensors);
  return answer;
}

absl::StatusOr<Message> AnswerHidden(const ReferenceModel& model, DType answers,
                                     const Json& request) {
  absl::StatusOr<Message> answer = RunTaps(model, answers, request, {"final_norm"});
  if (answer.ok()) answer->tensors.at(0).name = "hidden";
  return answer;
}

// Absent: all.
absl::StatusOr<std::vector<std::string>> StagesField(const Json& request) {
  std::vector<std::string> stages;
  if (FindField(request, "stages") == nullptr) return stages;
  const absl::StatusOr<const Json*> list = ArrayField(request, "stages");
  if (!list.ok()) return list.status();
  for (const Json& stage : **list) {
    if (!stage.is_string()) return absl::InvalidArgumentError("field \"stages\": expected strings");
    stages.push_back(stage.get<std::string>());
  }
  return stages;
}

absl::StatusOr<Message> AnswerTaps(const ReferenceModel& model, DType answers,
                                   const Json& request) {
  absl::StatusOr<std::vector<std::string>> stages = StagesField(request);
  if (!stages.ok()) return stages.status();
  absl::StatusOr<Message> answer = RunTaps(model, answers, request, *std::move(stages));
  if (answer.ok() && answer->tensors.empty()) {
    return absl::UnimplementedError(
        absl::StrCat("no layer has a stage of ", request["stages"].dump()));
  }
  return answer;
}

constexpr ReferenceOp kOps[] = {{"logits", AnswerLogits},
                                {"nll", AnswerNll},
                                {"hidden", AnswerHidden},
                                {"taps", AnswerTaps},
                                {"program", AnswerProgram}};

}  // namespace

const ReferenceOp* FindReferenceOp(std::string_view name) {
  for (const ReferenceOp& op : kOps) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

}  // namespace crosscheck
