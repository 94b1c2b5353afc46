// Explicit uniforms: every token is predicted, a mismatch is allowed only within the rounding
// distance of a cumulative edge (judging.md 8.6).
#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"
#include "properties/judges/failure.h"
#include "properties/sampler_runs.h"

namespace crosscheck {
namespace {

// How far the uniform lies outside of the token's interval; infinite for a token of probability 0.
double Distance(const LawReading& reading, int32_t token, double uniform) {
  if (reading.p[reading.outcome[token]] <= 0) return std::numeric_limits<double>::infinity();
  return std::max({reading.below[token] - uniform, uniform - reading.up_to[token], 0.0});
}

struct Worst {
  size_t draw = 0;
  double distance = 0;
};

Worst WorstOf(const LawReading& reading, const std::vector<int32_t>& tokens,
              const std::vector<float>& uniforms) {
  Worst worst;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const double distance = Distance(reading, tokens[t], uniforms[t]);
    if (distance > worst.distance) worst = {t, distance};
  }
  return worst;
}

int32_t Predicted(const LawReading& reading, double uniform) {
  for (size_t i = 0; i < reading.p.size(); ++i) {
    const bool inside = reading.below[i] <= uniform && uniform < reading.up_to[i];
    if (reading.p[reading.outcome[i]] > 0 && inside) return static_cast<int32_t>(i);
  }
  return -1;
}

}  // namespace

Verdict JudgeInvert(const SamplerCase& c, const std::string& stage, Observations& observations) {
  const std::vector<float> uniforms = Uniforms(c);
  DrawAnswer answer;
  if (auto wrong = ReadDrawn(observations[0], stage, uniforms.size(), c.logits.vocab, answer)) {
    return *wrong;
  }
  const absl::StatusOr<SamplingLaw> law = LawOfCase(c, c.history, *answer.order);
  if (!law.ok()) {
    return MakeVerdict(VerdictKind::kSetupError, stage, ErrorClass::kNone,
                       std::string(law.status().message()));
  }
  const LawReading* best = nullptr;
  Worst worst{0, std::numeric_limits<double>::infinity()};
  for (const LawReading& reading : law->readings) {
    const Worst here = WorstOf(reading, answer.tokens, uniforms);
    if (best == nullptr || here.distance < worst.distance) {
      best = &reading;
      worst = here;
    }
  }
  const double bound = law->cumulative_error;
  Verdict verdict;
  verdict.signature.stage = stage;
  verdict.judged = static_cast<int>(answer.tokens.size());
  verdict.measures.push_back({.metric = "edge_distance",
                              .path = stage,
                              .error = std::min(worst.distance, 1.0),
                              .bound = bound});
  if (worst.distance <= bound) return verdict;
  const int32_t token = answer.tokens[worst.draw];
  const double p = best->p[best->outcome[token]];
  verdict.kind = VerdictKind::kEngineBug;
  verdict.signature.error = p > 0 ? ErrorClass::kToken : ErrorClass::kSupport;
  verdict.marginal = p > 0 && worst.distance < 1.5 * bound;
  verdict.message = absl::StrFormat(
      "uniform %.9g (draw %d of %d): the engine drew token %d of probability %.6g and interval "
      "[%.9g, %.9g), the law draws %d; rounding allows %.3g",
      uniforms[worst.draw], worst.draw, uniforms.size(), token, p, best->below[token],
      best->up_to[token], Predicted(*best, uniforms[worst.draw]), bound);
  return verdict;
}

}  // namespace crosscheck
