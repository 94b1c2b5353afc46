#include "properties/logits.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "properties/judges/failure.h"

namespace crosscheck {
namespace {

// Padding has the look of a prompt, so that an engine that forgets the mask gives other logits.
std::vector<int32_t> PaddedIds(const SequenceCase& sequence, int vocab) {
  std::vector<int32_t> ids(sequence.left_padding);
  for (int i = 0; i < sequence.left_padding; ++i) ids[i] = (7 * i + 3) % vocab;
  ids.insert(ids.end(), sequence.ids.begin(), sequence.ids.end());
  return ids;
}

Json SequenceJson(const SequenceCase& sequence, int vocab, ModelPath path) {
  Json json;
  json["ids"] = PaddedIds(sequence, vocab);
  if (path == ModelPath::kSession && !sequence.chunks.empty()) {
    std::vector<int32_t> chunks = sequence.chunks;
    chunks.front() += sequence.left_padding;
    json["chunks"] = chunks;
  }
  if (sequence.left_padding > 0) {
    std::vector<int> mask(sequence.left_padding, 0);
    mask.resize(mask.size() + sequence.ids.size(), 1);
    json["mask"] = mask;
  }
  return json;
}

// Tokens that the session path prefills; its first answer is at most at the last of them.
int PrefillLength(const SequenceCase& sequence) {
  if (sequence.chunks.empty()) return static_cast<int>(sequence.ids.size());
  int sum = 0;
  for (int chunk : sequence.chunks) sum += chunk;
  return sum;
}

std::optional<std::vector<int>> ReadPositions(const Json& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<int> positions;
  positions.reserve(json.size());
  for (const Json& value : json) {
    if (!value.is_number_integer()) return std::nullopt;
    int64_t position = value.get<int64_t>();
    if (position < 0 || position > (1 << 30)) return std::nullopt;
    positions.push_back(static_cast<int>(position));
  }
  return positions;
}

// Whether increasing positions of a padded sequence are what the path promises.
bool PositionsFit(const std::vector<int>& positions, const SequenceCase& sequence, ModelPath path) {
  int length = sequence.left_padding + static_cast<int>(sequence.ids.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] >= length || (i > 0 && positions[i] <= positions[i - 1])) return false;
  }
  int answered = static_cast<int>(positions.size());
  if (path == ModelPath::kPrompt) return answered == 1 && positions[0] == length - 1;
  if (path == ModelPath::kReadout) return answered == length;
  int required = static_cast<int>(sequence.ids.size()) - PrefillLength(sequence) + 1;
  return answered >= required && positions[answered - required] == length - required;
}

absl::StatusOr<SequenceLogits> ReadSequence(const Message& answer, const ModelRunCase& c,
                                            ModelPath path, size_t index, DType& dtype) {
  const SequenceCase& sequence = c.sequences[index];
  std::optional<std::vector<int>> positions = ReadPositions(answer.head["positions"][index]);
  if (!positions || !PositionsFit(*positions, sequence, path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("positions of sequence ", index, " are not those of path ", PathName(path)));
  }
  std::string name = absl::StrCat("logits.", index);
  const Tensor* tensor = answer.Find(name);
  if (tensor == nullptr) return absl::InvalidArgumentError(name + " is missing");
  std::vector<int64_t> shape = {static_cast<int64_t>(positions->size()), c.model->spec.vocab};
  if (tensor->shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is not of shape [", shape[0], ", ", shape[1], "]"));
  }
  if (tensor->dtype != DType::kF32 && tensor->dtype != DType::kF64) {
    return absl::InvalidArgumentError(name + " is neither F32 nor F64");
  }
  dtype = tensor->dtype;
  auto values = tensor->ToDoubles();
  if (!values.ok()) return values.status();
  SequenceLogits logits{
      .positions = {}, .vocab = c.model->spec.vocab, .values = *std::move(values)};
  size_t padding_rows = 0;
  logits.positions.reserve(positions->size());
  for (int position : *positions) {
    if (position < sequence.left_padding) {
      ++padding_rows;
    } else {
      logits.positions.push_back(position - sequence.left_padding);
    }
  }
  logits.values.erase(
      logits.values.begin(),
      logits.values.begin() + static_cast<std::ptrdiff_t>(padding_rows * logits.vocab));
  return logits;
}

// Absent where it was not asked for. Rows of padding are dropped.
absl::StatusOr<RouterLogits> ReadRouter(const Message& answer, const ModelRunCase& c,
                                        size_t index) {
  RouterLogits router;
  const std::string name = absl::StrCat("router.", index);
  const Tensor* tensor = answer.Find(name);
  if (tensor == nullptr) return router;
  const SequenceCase& sequence = c.sequences[index];
  const auto layers = static_cast<int64_t>(c.model->spec.layers.size());
  const int64_t length = sequence.left_padding + static_cast<int64_t>(sequence.ids.size());
  const int64_t experts = c.model->spec.experts;
  if (tensor->shape != std::vector<int64_t>{layers, length, experts}) {
    return absl::InvalidArgumentError(name + " is not of shape [layers, positions, experts]");
  }
  auto values = tensor->ToDoubles();
  if (!values.ok()) return values.status();
  router.layers = static_cast<int>(layers);
  router.positions = static_cast<int>(sequence.ids.size());
  router.experts = static_cast<int>(experts);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto begin = values->begin() + (layer * length + sequence.left_padding) * experts;
    const auto end = values->begin() + (layer + 1) * length * experts;
    router.values.insert(router.values.end(), begin, end);
  }
  return router;
}

bool PathRan(const Json& head, const ModelRunCase& c, ModelPath path) {
  if (path == ModelPath::kPrompt) return Counted(head, "prompt");
  if (path == ModelPath::kReadout) return Counted(head, "readout");
  bool steps = std::any_of(c.sequences.begin(), c.sequences.end(), [](const SequenceCase& s) {
    return PrefillLength(s) < static_cast<int>(s.ids.size());
  });
  return Counted(head, "prefill") && (!steps || Counted(head, "step"));
}

// Calls `use` with the case without its padding; few cases have any, and only these are copied.
template <class Use>
auto Unpadded(const ModelRunCase& c, const Use& use) {
  const auto is_padded = [](const SequenceCase& sequence) { return sequence.left_padding > 0; };
  if (std::none_of(c.sequences.begin(), c.sequences.end(), is_padded)) return use(c);
  ModelRunCase unpadded = c;
  for (SequenceCase& sequence : unpadded.sequences) sequence.left_padding = 0;
  return use(unpadded);
}

}  // namespace

Message LogitsRequest(const ModelRunCase& c, ModelPath path) {
  Json sequences = Json::array();
  for (const SequenceCase& sequence : c.sequences) {
    sequences.push_back(SequenceJson(sequence, c.model->spec.vocab, path));
  }
  Message request;
  request.head["op"] = "logits";
  request.head["path"] = PathName(path);
  request.head["batched"] = false;
  request.head["sequences"] = std::move(sequences);
  return request;
}

Message WithRouter(Message request, const ModelSpec& spec) {
  if (TraitsOf(spec.family).mixture) request.head["router"] = true;
  return request;
}

Message ReferenceLogitsRequest(const ModelRunCase& c, ModelPath path) {
  return WithRouter(LogitsRequest(c, path), c.model->spec);
}

Message ExactRequest(const ModelRunCase& c) {
  return Unpadded(c, [](const ModelRunCase& unpadded) {
    return ReferenceLogitsRequest(unpadded, ModelPath::kReadout);
  });
}

absl::StatusOr<LogitsAnswer> ReadLogits(const Message& answer, const ModelRunCase& c,
                                        ModelPath path) {
  auto positions = answer.head.find("positions");
  if (positions == answer.head.end() || !positions->is_array() ||
      positions->size() != c.sequences.size()) {
    return absl::InvalidArgumentError("\"positions\" is not one array for each sequence");
  }
  LogitsAnswer result;
  result.path_ran = PathRan(answer.head, c, path);
  for (size_t i = 0; i < c.sequences.size(); ++i) {
    auto sequence = ReadSequence(answer, c, path, i, result.dtype);
    if (!sequence.ok()) return sequence.status();
    result.sequences.push_back(*std::move(sequence));
    auto router = ReadRouter(answer, c, i);
    if (!router.ok()) return router.status();
    if (router->layers > 0) result.routers.push_back(*std::move(router));
  }
  return result;
}

absl::StatusOr<LogitsAnswer> ReadExact(const Message& answer, const ModelRunCase& c) {
  return Unpadded(c, [&](const ModelRunCase& unpadded) {
    return ReadLogits(answer, unpadded, ModelPath::kReadout);
  });
}

DistancePool PoolDistances(const LogitsAnswer& exact, const LogitsAnswer& other,
                           const LogitsAnswer& judged) {
  DistancePool pool;
  for (size_t s = 0; s < judged.sequences.size(); ++s) {
    const SequenceLogits &left = exact.sequences[s], &right = other.sequences[s];
    size_t i = 0, j = 0;
    for (int position : judged.sequences[s].positions) {
      while (i < left.positions.size() && left.positions[i] < position) ++i;
      while (j < right.positions.size() && right.positions[j] < position) ++j;
      if (i < left.positions.size() && left.positions[i] == position &&
          j < right.positions.size() && right.positions[j] == position) {
        pool.AddRow(left.row(i), right.row(j));
      }
    }
  }
  return pool;
}

LogitPlace FirstNonfinite(const LogitsAnswer& answer) {
  for (size_t s = 0; s < answer.sequences.size(); ++s) {
    const SequenceLogits& sequence = answer.sequences[s];
    for (size_t i = 0; i < sequence.values.size(); ++i) {
      if (std::isfinite(sequence.values[i])) continue;
      int vocab = sequence.vocab;
      return {static_cast<int>(s), sequence.positions[i / vocab], static_cast<int>(i % vocab),
              sequence.values[i]};
    }
  }
  return {};
}

}  // namespace crosscheck
