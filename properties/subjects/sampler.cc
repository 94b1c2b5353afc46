#include "properties/subjects/sampler.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

constexpr int kMostDraws = 8192;
// 236/64 is ln 40 to 1e-3.
constexpr double kSpreads[] = {3.6875, 0, 1, 8, 30};
constexpr double kCentres[] = {0, 8, -8};
// Degenerate in every engine, degenerate in some, tiny, neutral, ordinary and large ones.
constexpr double kTemperatures[] = {1, 0, 0.7, 1.3, 0.5, 2, 0.1, 0.01, 100, 1e-36};
constexpr double kTopPs[] = {1, 0, 0.9, 0.5, 0.95, 0.25, 1e-6, 0.999999};
constexpr double kMinPs[] = {0, 1, 0.05, 0.5, 1e-6};
constexpr double kPenalties[] = {1, 1.1, 1.3, 0.8, 2};
constexpr double kBiases[] = {1, -1, 5, -100};

class Bits {
 public:
  explicit Bits(uint64_t seed) : key_(MixBits(seed ^ HashName("logits"))) {}
  uint64_t Below(uint64_t n) { return MixBits(key_ + 0x9e3779b97f4a7c15ull * ++counter_) % n; }

 private:
  uint64_t key_;
  uint64_t counter_ = 0;
};

// Steps of spread/256 around the centre; few levels make ties.
float Level(const LogitRecipe& recipe, Bits& bits, uint64_t levels) {
  const uint64_t step = 256 / (levels - 1);
  const auto level = static_cast<double>(bits.Below(levels) * step);
  return static_cast<float>(recipe.centre + recipe.spread * (level - 128) / 256);
}

// Moves a value by up to two units in its last place.
float Nudge(float value, Bits& bits) {
  const auto units = static_cast<uint32_t>(bits.Below(3));
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) + units);
}

float Logit(const LogitRecipe& recipe, Bits& bits) {
  // Their differences are 0 or so large that no rounding can matter; penalties and differences of
  // the largest stay within single precision.
  constexpr float kExtremes[] = {0, 1e38f, -1e38f, 1e30f, 1e-30f, -1e30f};
  constexpr uint64_t kPlain = 257;
  switch (recipe.style) {
    case LogitStyle::kPeaked:
      return Level(recipe, bits, kPlain);
    case LogitStyle::kTied:
      return Level(recipe, bits, 5);
    case LogitStyle::kNearTied:
      return Nudge(Level(recipe, bits, 5), bits);
    case LogitStyle::kMasked:
      return bits.Below(2) == 0 ? -std::numeric_limits<float>::infinity()
                                : Level(recipe, bits, kPlain);
    case LogitStyle::kOutlier:
      return Level(recipe, bits, kPlain) + (bits.Below(16) == 0 ? 20.0f : 0.0f);
    case LogitStyle::kExtreme:
      return kExtremes[bits.Below(std::size(kExtremes))];
  }
  return 0;
}

void VisitLogits(FieldVisitor& v, const Limits& limits, LogitRecipe& logits) {
  v.Int("vocab", logits.vocab,
        {.lo = 1,
         .hi = limits.max_vocab,
         .typical = 63,
         .interesting = {2, 3, 8, 16, 17, 33, 64},
         .phase = ShrinkPhase::kLength});
  v.Enum("style", logits.style, kLogitStyleNames);
  v.Table("spread", logits.spread, kSpreads);
  v.Table("centre", logits.centre, kCentres);
  v.U64("seed", logits.seed);
}

void VisitParameters(FieldVisitor& v, const Limits& limits, int vocab,
                     SamplingParameters& parameters) {
  v.Table("temperature", parameters.temperature, kTemperatures);
  v.Int("top_k", parameters.top_k,
        {.lo = 0,
         .hi = int64_t{vocab} + 1,
         .interesting = {0, 0, 1, 2, vocab - 1, vocab},
         .phase = ShrinkPhase::kConfiguration});
  v.Table("top_p", parameters.top_p, kTopPs);
  const auto min_ps = absl::MakeConstSpan(kMinPs);
  v.Table("min_p", parameters.min_p, limits.min_p ? min_ps : min_ps.first(1));
  v.Table("repetition_penalty", parameters.repetition_penalty, kPenalties);
}

void VisitIds(FieldVisitor& v, std::string_view name, int vocab, const ListRange& range,
              std::vector<int32_t>& ids) {
  v.List(name, ids, range, [vocab](FieldVisitor& e, int32_t& id) {
    e.Int("id", id, {.lo = 0, .hi = vocab - 1, .phase = ShrinkPhase::kValues});
  });
}

void VisitGeneration(FieldVisitor& v, const Limits& limits, SampledGeneration& generation) {
  v.Shared("model", [&] { VisitModelRecipe(v, limits, generation.model); });
  const ModelSpec& spec = generation.model.spec;
  // Every generation runs the prompt again.
  const auto longest = std::clamp<size_t>(static_cast<size_t>(spec.max_positions) - 1, 1, 12);
  VisitIds(v, "prompt", spec.vocab, {.min = 1, .max = longest, .typical = 6}, generation.prompt);
  const int64_t room = spec.max_positions - static_cast<int64_t>(generation.prompt.size());
  v.Int("tokens", generation.tokens,
        {.lo = std::min<int64_t>(room, 1),
         .hi = std::min<int64_t>(room, 4),
         .phase = ShrinkPhase::kLength});
}

}  // namespace

static void Visit(FieldVisitor& v, const Limits& limits, SamplerCase& c) {
  v.Enum("mode", c.mode, kSamplerModeNames, {.phase = ShrinkPhase::kMates});
  v.Enum("seeds", c.seeds, kSeedKindNames, {.phase = ShrinkPhase::kMates});
  v.U64("seed", c.seed);
  v.Int("draws", c.draws,
        {.lo = 1,
         .hi = kMostDraws,
         .typical = 2048,
         .interesting = {1024, 2048, 2048, 4096},
         .phase = ShrinkPhase::kSteps});
  v.Group("logits", [&] { VisitLogits(v, limits, c.logits); });
  const size_t generations = c.mode == SamplerMode::kGenerate ? 1 : 0;
  v.List("generations", c.generations, {.min = generations, .max = generations},
         [&](FieldVisitor& e, SampledGeneration& generation) {
           VisitGeneration(e, limits, generation);
         });
  const int vocab = generations == 1 ? c.generations[0].model.spec.vocab : c.logits.vocab;
  VisitParameters(v, limits, vocab, c.parameters);
  const size_t longest = limits.sampler_history ? 64 : 0;
  VisitIds(v, "history", vocab, {.min = 0, .max = longest, .typical = 8, .repeats = true},
           c.history);
  const size_t most = generations == 0 && limits.logit_bias ? 4 : 0;
  v.List("bias", c.bias, {.min = 0, .max = most, .typical = 0},
         [vocab](FieldVisitor& e, LogitBias& bias) {
           e.Int("id", bias.id, {.lo = 0, .hi = vocab - 1, .phase = ShrinkPhase::kValues});
           e.Table("value", bias.value, kBiases, ShrinkPhase::kValues);
         });
}

static std::vector<std::string> Labels(const SamplerCase& c) {
  const auto name = [](const auto& names, auto value) {
    return std::string(names[static_cast<size_t>(value)]);
  };
  const SamplingParameters& p = c.parameters;
  std::vector<std::string> labels = {absl::StrCat("mode:", name(kSamplerModeNames, c.mode)),
                                     absl::StrCat("seeds:", name(kSeedKindNames, c.seeds))};
  if (c.mode != SamplerMode::kGenerate) {
    labels.push_back(absl::StrCat("logits:", name(kLogitStyleNames, c.logits.style)));
  }
  if (p.temperature == 0) labels.emplace_back("greedy");
  if (p.temperature != 1) labels.emplace_back("temperature");
  if (p.top_k > 0) labels.emplace_back("top_k");
  if (p.top_p < 1) labels.emplace_back("top_p");
  if (p.min_p > 0) labels.emplace_back("min_p");
  if (p.repetition_penalty != 1 && !c.history.empty()) labels.emplace_back("penalty");
  if (!c.bias.empty()) labels.emplace_back("bias");
  return labels;
}

std::vector<float> MakeLogits(const LogitRecipe& recipe) {
  Bits bits(recipe.seed);
  std::vector<float> logits(static_cast<size_t>(recipe.vocab));
  for (float& logit : logits) logit = Logit(recipe, bits);
  const auto masked = [](float logit) { return logit == -std::numeric_limits<float>::infinity(); };
  if (std::all_of(logits.begin(), logits.end(), masked)) {
    logits[bits.Below(logits.size())] = static_cast<float>(recipe.centre);
  }
  return logits;
}

uint64_t SeedAt(const SamplerCase& c, uint64_t i) {
  constexpr uint64_t kYear2023 = 1'700'000'000;
  switch (c.seeds) {
    case SeedKind::kRandom:
      return MixBits(c.seed + 0x9e3779b97f4a7c15ull * (i + 1));
    case SeedKind::kConsecutive:
      return c.seed % 4 + i;
    case SeedKind::kSeconds:
      return kYear2023 + c.seed % 100'000'000 + i;
    case SeedKind::kNanoseconds:
      // Requests some microseconds apart.
      return (kYear2023 + c.seed % 100'000'000) * 1'000'000'000 + 5'000 * i +
             MixBits(c.seed + i) % 5'000;
  }
  return 0;
}

const Subject& SamplerSubject() { return MakeSubject<SamplerCase>(); }

}  // namespace crosscheck
