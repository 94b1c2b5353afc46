#include <algorithm>
#include <utility>

#include "reference/reference_sampler.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

// The tokens that can be drawn, most likely first, and the mass up to and with each.
struct Cumulative {
  std::vector<int32_t> tokens;
  std::vector<double> mass;

  int32_t At(double uniform) const {
    const auto found = std::upper_bound(mass.begin(), mass.end(), uniform);
    const auto index = static_cast<size_t>(found - mass.begin());
    return tokens[std::min(index, tokens.size() - 1)];
  }
};

absl::StatusOr<Cumulative> CumulativeOf(const DrawRequest& request) {
  const absl::StatusOr<SamplingLaw> law =
      LawOfDraw(request.logits, request.parameters, request.history, kLatticeOrder, request.bias);
  if (!law.ok()) return law.status();
  const LawReading& reading = law->readings[0];
  const std::vector<double>& p = reading.p;
  Cumulative cumulative;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0) cumulative.tokens.push_back(static_cast<int32_t>(i));
  }
  // A token that stands for a cut cluster has the cluster's mass, and still comes last.
  std::sort(cumulative.tokens.begin(), cumulative.tokens.end(), [&](int32_t a, int32_t b) {
    if (reading.below[a] != reading.below[b]) return reading.below[a] < reading.below[b];
    return p[a] != p[b] ? p[a] > p[b] : a < b;
  });
  double mass = 0;
  for (const int32_t token : cumulative.tokens) cumulative.mass.push_back(mass += p[token]);
  return cumulative;
}

double UniformAt(uint64_t seed, uint64_t counter) {
  const uint64_t key = MixBits(seed ^ HashName("sampler"));
  return static_cast<double>(MixBits(key + 0x9e3779b97f4a7c15ull * (counter + 1)) >> 11) * 0x1p-53;
}

class ExactSampler : public ReferenceSampler {
 public:
  const SamplingOrder& order() const override { return kLatticeOrder; }

  absl::StatusOr<std::vector<int32_t>> DrawPerSeed(
      const DrawRequest& request, absl::Span<const uint64_t> seeds) const override {
    const absl::StatusOr<Cumulative> cumulative = CumulativeOf(request);
    if (!cumulative.ok()) return cumulative.status();
    std::vector<int32_t> tokens;
    tokens.reserve(seeds.size());
    for (const uint64_t seed : seeds) tokens.push_back(cumulative->At(UniformAt(seed, 0)));
    return tokens;
  }

  absl::StatusOr<std::vector<int32_t>> DrawStream(const DrawRequest& request, uint64_t seed,
                                                  int64_t draws) const override {
    DrawRequest now = request;
    absl::StatusOr<Cumulative> cumulative = CumulativeOf(now);
    std::vector<int32_t> tokens;
    for (int64_t t = 0; cumulative.ok() && t < draws; ++t) {
      const int32_t token = cumulative->At(UniformAt(seed, static_cast<uint64_t>(t)));
      tokens.push_back(token);
      const std::vector<int32_t>& seen = now.history;
      if (std::find(seen.begin(), seen.end(), token) != seen.end()) continue;
      now.history.push_back(token);
      if (now.parameters.repetition_penalty != 1) cumulative = CumulativeOf(now);
    }
    if (!cumulative.ok()) return cumulative.status();
    return tokens;
  }

  absl::StatusOr<std::vector<int32_t>> Invert(const DrawRequest& request,
                                              absl::Span<const double> uniforms) const override {
    const absl::StatusOr<Cumulative> cumulative = CumulativeOf(request);
    if (!cumulative.ok()) return cumulative.status();
    std::vector<int32_t> tokens;
    tokens.reserve(uniforms.size());
    for (const double uniform : uniforms) tokens.push_back(cumulative->At(uniform));
    return tokens;
  }
};

}  // namespace

std::unique_ptr<ReferenceSampler> MakeExactSampler() { return std::make_unique<ExactSampler>(); }

}  // namespace crosscheck
