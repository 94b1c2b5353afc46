// Subject "sampler": logits, complete parameters and history, and how tokens are drawn from them.
#ifndef CROSSCHECK_PROPERTIES_SUBJECTS_SAMPLER_H_
#define CROSSCHECK_PROPERTIES_SUBJECTS_SAMPLER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "properties/subject.h"
#include "reference/sampling_law.h"
#include "reference/weights.h"

namespace crosscheck {

// kSeeds: one draw from each of many seeds. kStream: many draws of one seed, each joins the
// history. kInvert: explicit uniforms. kGenerate: the first tokens of many generations, one seed
// each.
enum class SamplerMode { kSeeds, kStream, kInvert, kGenerate };
inline constexpr std::string_view kSamplerModeNames[] = {"seeds", "stream", "invert", "generate"};

// Seeds as users choose them: 0, 1, 2, …; the time in seconds or nanoseconds; 64 random bits.
enum class SeedKind { kRandom, kConsecutive, kSeconds, kNanoseconds };
inline constexpr std::string_view kSeedKindNames[] = {"random", "consecutive", "seconds",
                                                      "nanoseconds"};

enum class LogitStyle { kPeaked, kTied, kNearTied, kMasked, kOutlier, kExtreme };
inline constexpr std::string_view kLogitStyleNames[] = {"peaked", "tied",    "near_tied",
                                                        "masked", "outlier", "extreme"};

struct LogitRecipe {
  int vocab = 1;
  LogitStyle style = LogitStyle::kPeaked;
  double spread = 0;  // largest less smallest logit of the plain style: ln 40 makes a peaked target
  double centre = 0;  // of the logits; the repetition penalty depends on their sign
  uint64_t seed = 0;
  bool operator==(const LogitRecipe&) const = default;
};
// [vocab] single-precision logits: a function of the recipe with the same bits on every machine
// (integers and exact scaling only). At least one is finite; no NaN, no +inf.
std::vector<float> MakeLogits(const LogitRecipe& recipe);

struct LogitBias {
  int32_t id = 0;
  double value = 0;
  bool operator==(const LogitBias&) const = default;
};

// Of mode kGenerate, where the engine's own logits take the place of the recipe's.
struct SampledGeneration {
  ModelRecipe model;
  std::vector<int32_t> prompt;
  int tokens = 0;  // of each generation; 0 when the prompt fills the context
  bool operator==(const SampledGeneration&) const = default;
};

struct SamplerCase {
  static constexpr std::string_view kSubjectName = "sampler";
  SamplerMode mode = SamplerMode::kSeeds;
  SeedKind seeds = SeedKind::kRandom;
  uint64_t seed = 0;  // the seeds and uniforms of the case follow from it
  int draws = 1;      // of the first block
  LogitRecipe logits;
  SamplingParameters parameters;
  std::vector<int32_t> history;                // before the first draw
  std::vector<LogitBias> bias;                 // where the engine serves it
  std::vector<SampledGeneration> generations;  // one in mode kGenerate, otherwise none
  bool operator==(const SamplerCase&) const = default;
};

// The i-th seed of a case; blocks of fresh draws go on in this sequence.
uint64_t SeedAt(const SamplerCase& c, uint64_t i);

const Subject& SamplerSubject();

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SUBJECTS_SAMPLER_H_
