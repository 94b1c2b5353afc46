#include "properties/sampler_runs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engines/generate_message.h"
#include "properties/judges/failure.h"
#include "properties/logits.h"

namespace crosscheck {
namespace {

double Narrow(double value) { return static_cast<float>(value); }

std::vector<double> BiasOf(const SamplerCase& c) {
  std::vector<double> bias(c.bias.empty() ? 0 : static_cast<size_t>(c.logits.vocab));
  for (const LogitBias& entry : c.bias) bias[entry.id] += entry.value;
  return bias;
}

Message WithLogits(const SamplerCase& c, std::string_view op) {
  const std::vector<float> logits = MakeLogits(c.logits);
  Message request;
  request.head = {{"op", op},
                  {"parameters", SamplingJson(NarrowParameters(c.parameters))},
                  {"history", c.history}};
  request.tensors.push_back(MakeTensor("logits", {c.logits.vocab}, absl::MakeConstSpan(logits)));
  if (!c.bias.empty()) {
    const std::vector<double> bias = BiasOf(c);
    const std::vector<float> narrow(bias.begin(), bias.end());
    request.tensors.push_back(MakeTensor("bias", {c.logits.vocab}, absl::MakeConstSpan(narrow)));
  }
  return request;
}

// Engines look at the whole history for every draw of a penalised stream.
int64_t DrawsOf(const SamplerCase& c, int block) {
  const bool grows = c.mode == SamplerMode::kStream && c.parameters.repetition_penalty != 1;
  const int64_t draws = block == 0 ? c.draws : kFreshDraws;
  return grows ? std::min(draws, block == 0 ? kPenalisedDraws : kFreshPenalisedDraws) : draws;
}

// Drawn tokens join the history, which matters where it is penalised.
std::optional<Verdict> LawsOfStream(const SamplerCase& c, const std::string& stage,
                                    const SamplingOrder& order, DrawnBlock& drawn) {
  std::vector<int32_t> history = c.history;
  const bool changes = c.mode == SamplerMode::kStream && c.parameters.repetition_penalty != 1;
  for (size_t t = 0; t < drawn.tokens.size() || t == 0; ++t) {
    const bool known =
        t > 0 && std::find(history.begin(), history.end(), drawn.tokens[t - 1]) != history.end();
    if (t > 0 && !known) history.push_back(drawn.tokens[t - 1]);
    if (t == 0 || !known) {
      absl::StatusOr<SamplingLaw> law = LawOfCase(c, history, order);
      if (!law.ok()) {
        return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                           std::string(law.status().message()));
      }
      drawn.laws.push_back(*std::move(law));
    }
    if (!changes) return std::nullopt;
    drawn.law_of.push_back(static_cast<int>(drawn.laws.size()) - 1);
  }
  return std::nullopt;
}

}  // namespace

SamplingParameters NarrowParameters(const SamplingParameters& parameters) {
  return {Narrow(parameters.temperature), parameters.top_k, Narrow(parameters.top_p),
          Narrow(parameters.min_p), Narrow(parameters.repetition_penalty)};
}

std::string StageOf(const SamplerCase& c) {
  const std::string mode(kSamplerModeNames[static_cast<size_t>(c.mode)]);
  const bool many_seeds = c.mode == SamplerMode::kSeeds || c.mode == SamplerMode::kGenerate;
  return many_seeds
             ? absl::StrCat(mode, "_", std::string(kSeedKindNames[static_cast<size_t>(c.seeds)]))
             : mode;
}

absl::StatusOr<SamplingLaw> LawOfCase(const SamplerCase& c, absl::Span<const int32_t> history,
                                      const SamplingOrder& order) {
  const std::vector<float> logits = MakeLogits(c.logits);
  return LawOfDraw(std::vector<double>(logits.begin(), logits.end()),
                   NarrowParameters(c.parameters), history, order, BiasOf(c));
}

Message DrawMessage(const SamplerCase& c, int block) {
  Message request = WithLogits(c, "draw");
  const int64_t draws = DrawsOf(c, block);
  if (c.mode == SamplerMode::kStream) {
    request.head["seed"] = SeedAt(c, static_cast<uint64_t>(block));
    request.head["draws"] = draws;
    return request;
  }
  int64_t first = 0;
  for (int before = 0; before < block; ++before) first += DrawsOf(c, before);
  Json seeds = Json::array();
  for (int64_t i = 0; i < draws; ++i) seeds.push_back(SeedAt(c, static_cast<uint64_t>(first + i)));
  request.head["seeds"] = std::move(seeds);
  return request;
}

std::vector<float> Uniforms(const SamplerCase& c) {
  constexpr double kGrid = 0x1p24;
  std::vector<float> uniforms;
  const auto add = [&](double step) {
    uniforms.push_back(static_cast<float>(std::clamp(std::floor(step), 0.0, kGrid - 1) / kGrid));
  };
  add(0);
  add(1);
  add(kGrid - 1);
  add(kGrid - 2);
  const absl::StatusOr<SamplingLaw> law = LawOfCase(c, c.history, kLatticeOrder);
  if (law.ok()) {
    for (const LawReading& reading : law->readings) {
      for (size_t i = 0; i < reading.p.size(); ++i) {
        if (reading.p[i] == 0) continue;
        // On both sides of the edge: a step, and well beyond any rounding.
        for (const double distance : {-300.0, -1.0, 0.0, 1.0, 300.0}) {
          add(reading.up_to[i] * kGrid + distance);
        }
      }
    }
  }
  Stream stream(c.seed, "uniforms");
  while (uniforms.size() < static_cast<size_t>(c.draws)) {
    uniforms.push_back(static_cast<float>(static_cast<double>(stream.Next() >> 40) / kGrid));
  }
  return uniforms;
}

Message InvertMessage(const SamplerCase& c) {
  const std::vector<float> uniforms = Uniforms(c);
  Message request = WithLogits(c, "invert");
  request.tensors.push_back(MakeTensor("uniforms", {static_cast<int64_t>(uniforms.size())},
                                       absl::MakeConstSpan(uniforms)));
  return request;
}

std::optional<Verdict> ReadOrder(const Json& head, const std::string& stage,
                                 const SamplingOrder*& order) {
  const Json name = head.value("order", Json());
  order = name.is_string() ? FindSamplingOrder(name.get<std::string>()) : nullptr;
  if (order != nullptr) return std::nullopt;
  return MakeVerdict(VerdictKind::kUnsupported, stage, ErrorClass::kNone,
                     absl::StrCat("the order of filters ", name.dump(), " is not known here"));
}

std::optional<Verdict> ReadDrawn(const Reply& reply, const std::string& stage, size_t count,
                                 int vocab, DrawAnswer& answer) {
  if (!reply.ok()) return EngineFailure(*reply.failure, stage);
  const Json& head = reply.message.head;
  const Json tokens = head.value("tokens", Json());
  if (!tokens.is_array() || tokens.size() != count) {
    return ProtocolLie(
        stage, absl::StrCat("tokens: expected ", count, " ids, got ",
                            tokens.is_array() ? absl::StrCat(tokens.size()) : tokens.type_name()));
  }
  for (const Json& token : tokens) {
    const bool id = token.is_number_integer() && token.get<int64_t>() >= 0;
    if (!id || token.get<int64_t>() >= vocab) {
      return ProtocolLie(stage, absl::StrCat("tokens: ", token.dump(), " is no id below ", vocab));
    }
    answer.tokens.push_back(token.get<int32_t>());
  }
  if (auto unknown = ReadOrder(head, stage, answer.order)) return unknown;
  if (!Counted(head, "drawn")) return DidNotRun(stage, "the sampler");
  return std::nullopt;
}

std::optional<Verdict> ReadBlock(const SamplerCase& c, const std::string& stage, int block,
                                 Observations& observations, DrawnBlock& drawn) {
  if (c.mode == SamplerMode::kGenerate)
    return ReadGenerations(c, stage, block, observations, drawn);
  DrawAnswer answer;
  const auto count = static_cast<size_t>(DrawsOf(c, block));
  auto wrong = ReadDrawn(observations[block], stage, count, c.logits.vocab, answer);
  if (wrong) return wrong;
  drawn.tokens = std::move(answer.tokens);
  return LawsOfStream(c, stage, *answer.order, drawn);
}

}  // namespace crosscheck
