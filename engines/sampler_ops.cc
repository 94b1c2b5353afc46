#include "engines/sampler_ops.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/request_fields.h"

namespace crosscheck {
namespace {

constexpr int64_t kMostDraws = 1 << 20;  // of one message

absl::StatusOr<std::vector<double>> VectorTensor(const Message& request, const char* name) {
  const Tensor* tensor = request.Find(name);
  if (tensor == nullptr || tensor->shape.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("expected a tensor \"", name, "\" [n]"));
  }
  return tensor->ToDoubles();
}

absl::StatusOr<std::vector<int32_t>> ReadHistory(const Json& head) {
  const absl::StatusOr<std::vector<int64_t>> ids = IntegersField(head, "history");
  if (!ids.ok()) return ids.status();
  std::vector<int32_t> history;
  for (const int64_t id : *ids) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
      return absl::OutOfRangeError(absl::StrCat("history holds ", id, ", which is no token id"));
    }
    history.push_back(static_cast<int32_t>(id));
  }
  return history;
}

absl::StatusOr<DrawRequest> ReadDrawRequest(const Message& request) {
  absl::StatusOr<std::vector<double>> logits = VectorTensor(request, "logits");
  if (!logits.ok()) return logits.status();
  const absl::StatusOr<const Json*> fields = ObjectField(request.head, "parameters");
  if (!fields.ok()) return fields.status();
  const absl::StatusOr<SamplingParameters> parameters = ReadSampling(**fields);
  if (!parameters.ok()) return parameters.status();
  absl::StatusOr<std::vector<int32_t>> history = ReadHistory(request.head);
  if (!history.ok()) return history.status();
  DrawRequest draw{*std::move(logits), *parameters, *std::move(history), {}};
  if (request.Find("bias") == nullptr) return draw;
  absl::StatusOr<std::vector<double>> bias = VectorTensor(request, "bias");
  if (!bias.ok()) return bias.status();
  draw.bias = *std::move(bias);
  return draw;
}

absl::StatusOr<std::vector<uint64_t>> ReadSeeds(const Json& head) {
  const absl::StatusOr<const Json*> list = ArrayField(head, "seeds");
  if (!list.ok()) return list.status();
  std::vector<uint64_t> seeds;
  seeds.reserve((*list)->size());
  for (const Json& seed : **list) {
    if (!seed.is_number_unsigned()) {
      return absl::InvalidArgumentError("field \"seeds\": expected unsigned integers");
    }
    seeds.push_back(seed.get<uint64_t>());
  }
  return seeds;
}

absl::StatusOr<std::vector<int32_t>> Draw(const ReferenceSampler& sampler, const DrawRequest& draw,
                                          const Json& head) {
  if (FindField(head, "seeds") != nullptr) {
    const absl::StatusOr<std::vector<uint64_t>> seeds = ReadSeeds(head);
    if (!seeds.ok()) return seeds.status();
    return sampler.DrawPerSeed(draw, *seeds);
  }
  const absl::StatusOr<uint64_t> seed = ReadSeed(head);
  if (!seed.ok()) return seed.status();
  const absl::StatusOr<int64_t> draws = IntegerField(head, "draws");
  if (!draws.ok()) return draws.status();
  if (*draws < 0 || *draws > kMostDraws) {
    return absl::InvalidArgumentError(absl::StrCat("draws: expected 0..", kMostDraws));
  }
  return sampler.DrawStream(draw, *seed, *draws);
}

absl::StatusOr<std::vector<int32_t>> Invert(const ReferenceSampler& sampler,
                                            const DrawRequest& draw, const Message& request) {
  const absl::StatusOr<std::vector<double>> uniforms = VectorTensor(request, "uniforms");
  if (!uniforms.ok()) return uniforms.status();
  for (const double u : *uniforms) {
    if (!(u >= 0 && u < 1)) return absl::InvalidArgumentError("a uniform is outside [0, 1)");
  }
  return sampler.Invert(draw, *uniforms);
}

}  // namespace

absl::StatusOr<SamplingParameters> ReadSampling(const Json& sampling) {
  SamplingParameters parameters;
  double frequency = 0, presence = 0;
  const std::pair<const char*, double*> numbers[] = {
      {"temperature", &parameters.temperature},
      {"top_p", &parameters.top_p},
      {"min_p", &parameters.min_p},
      {"repetition_penalty", &parameters.repetition_penalty},
      {"frequency_penalty", &frequency},
      {"presence_penalty", &presence}};
  for (const auto& [name, target] : numbers) {
    const absl::StatusOr<double> value = NumberField(sampling, name);
    if (!value.ok()) return value.status();
    *target = *value;
  }
  const absl::StatusOr<int64_t> top_k = IntegerField(sampling, "top_k");
  if (!top_k.ok()) return top_k.status();
  parameters.top_k = *top_k;
  if (frequency != 0 || presence != 0) {
    return absl::UnimplementedError("frequency and presence penalties other than 0");
  }
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  const bool legal = parameters.temperature >= 0 && std::isfinite(parameters.temperature) &&
                     share(parameters.top_p) && share(parameters.min_p) && *top_k >= 0 &&
                     parameters.repetition_penalty > 0;
  if (!legal) return absl::OutOfRangeError("sampling parameters that no law follows from");
  return parameters;
}

absl::StatusOr<uint64_t> ReadSeed(const Json& object) {
  const Json* seed = FindField(object, "seed");
  // A message that was never text holds small seeds as signed numbers.
  const bool unsigned_value = seed != nullptr && seed->is_number_integer() &&
                              (seed->is_number_unsigned() || seed->get<int64_t>() >= 0);
  if (!unsigned_value) {
    return absl::InvalidArgumentError("field \"seed\": expected an unsigned integer");
  }
  return seed->get<uint64_t>();
}

bool IsSamplerOp(std::string_view op) { return op == "draw" || op == "invert"; }

absl::StatusOr<Message> AnswerSampler(const ReferenceSampler& sampler, const Message& request) {
  const absl::StatusOr<DrawRequest> draw = ReadDrawRequest(request);
  if (!draw.ok()) return draw.status();
  const absl::StatusOr<std::vector<int32_t>> tokens = request.head["op"] == "invert"
                                                          ? Invert(sampler, *draw, request)
                                                          : Draw(sampler, *draw, request.head);
  if (!tokens.ok()) return tokens.status();
  Message answer;
  answer.head = {{"tokens", *tokens},
                 {"order", sampler.order().name},
                 {"counters", {{"drawn", tokens->size()}}}};
  return answer;
}

}  // namespace crosscheck
