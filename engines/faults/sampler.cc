// Faults of sampling. Name, what makes it show, the smallest case:
// - sampler_bias: 9 % of the draws become the block's most frequent token, an effect size of 0.07
//   or more where that has at most 0.6; mode seeds or stream, 2 tokens
// - top_p_off_by_one: one draw in 16 is the best token that top_p removed; vocabulary 2, top_p 0,
//   1 draw
// - ignored_seed: every seed draws what the first one draws; mode seeds, vocabulary 2
// - correlated_stream: every second draw of a stream repeats the one before; mode stream,
//   vocabulary 2
// - scaled_uniforms: explicit uniforms are 1 % too small; mode invert, vocabulary 2
// - sampler_temperature: draws at a temperature 5 % too high; many draws of a law that is neither
//   flat nor a point
// - ignored_top_k: `generate` samples from the whole vocabulary; mode generate, top_k 1
#include <map>
#include <utility>

#include "engines/faults/fault.h"
#include "engines/sampler_ops.h"
#include "reference/sampling_law.h"

namespace crosscheck {
namespace {

// A number in 0..n-1 that depends on the place of a draw only.
uint64_t Chance(size_t draw, uint64_t n) { return MixBits(draw + HashName("fault")) % n; }

Reply SamplerBias(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok()) return reply;
  Json& tokens = reply.message.head["tokens"];
  std::map<int64_t, int> counts;
  for (const Json& token : tokens) ++counts[token.get<int64_t>()];
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (Chance(i, 100) < 9) tokens[i] = most->first;
  }
  return reply;
}

// The token after the last one that top_p keeps, or -1.
int64_t FirstRemoved(const Message& request) {
  const auto parameters = ReadSampling(request.head["parameters"]);
  const Tensor* logits = request.Find("logits");
  if (!parameters.ok() || parameters->top_p >= 1 || logits == nullptr) return -1;
  const auto values = logits->ToDoubles();
  if (!values.ok()) return -1;
  SamplingParameters open = *parameters;
  open.top_p = 1;
  const auto cut = LawOfDraw(*values, *parameters, {}, kHuggingFaceOrder);
  const auto whole = LawOfDraw(*values, open, {}, kHuggingFaceOrder);
  if (!cut.ok() || !whole.ok()) return -1;
  const std::vector<double>& p = whole->readings[0].p;
  int64_t best = -1;
  for (size_t i = 0; i < p.size(); ++i) {
    const LawReading& kept = cut->readings.back();
    const bool removed = p[i] > 0 && kept.p[kept.outcome[i]] == 0;
    if (removed && (best < 0 || p[i] > p[static_cast<size_t>(best)]))
      best = static_cast<int64_t>(i);
  }
  return best;
}

Reply TopPOffByOne(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  const int64_t removed = reply.ok() ? FirstRemoved(request) : -1;
  if (removed < 0) return reply;
  Json& tokens = reply.message.head["tokens"];
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i % 16 == 0) tokens[i] = removed;
  }
  return reply;
}

Reply IgnoredSeed(Engine& inner, const Message& request, const ModelSpec&) {
  if (!request.head.contains("seeds")) return inner.Call(request);
  Message edited = request;
  for (Json& seed : edited.head["seeds"]) seed = request.head["seeds"][0];
  return inner.Call(edited);
}

Reply CorrelatedStream(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok() || request.head.contains("seeds")) return reply;
  Json& tokens = reply.message.head["tokens"];
  for (size_t i = 1; i < tokens.size(); i += 2) tokens[i] = tokens[i - 1];
  return reply;
}

Reply ScaledUniforms(Engine& inner, const Message& request, const ModelSpec&) {
  Message edited = request;
  for (Tensor& tensor : edited.tensors) {
    if (tensor.name != "uniforms") continue;
    auto* values = reinterpret_cast<float*>(tensor.bytes.data());
    for (int64_t i = 0; i < tensor.ElementCount(); ++i) values[i] *= 0.99f;
  }
  return inner.Call(edited);
}

Reply SamplerTemperature(Engine& inner, const Message& request, const ModelSpec&) {
  Message edited = request;
  Json& parameters = edited.head["parameters"];
  if (parameters.is_object() && parameters.value("temperature", Json()).is_number()) {
    parameters["temperature"] = 1.05 * parameters["temperature"].get<double>();
  }
  return inner.Call(edited);
}

Reply IgnoredTopK(Engine& inner, const Message& request, const ModelSpec&) {
  Message edited = request;
  edited.head["sampling"]["top_k"] = 0;
  return inner.Call(edited);
}

constexpr Fault kFaults[] = {
    {"sampler_bias", SamplerBias, nullptr, "draw"},
    {"top_p_off_by_one", TopPOffByOne, nullptr, "draw"},
    {"ignored_seed", IgnoredSeed, nullptr, "draw"},
    {"correlated_stream", CorrelatedStream, nullptr, "draw"},
    {"scaled_uniforms", ScaledUniforms, nullptr, "invert"},
    {"sampler_temperature", SamplerTemperature, nullptr, "draw"},
    {"ignored_top_k", IgnoredTopK, nullptr, "generate"},
};

}  // namespace

absl::Span<const Fault> SamplerFaults() { return kFaults; }

}  // namespace crosscheck
