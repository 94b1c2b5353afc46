// The messages of a sampler case and their answers in typed form.
#ifndef CROSSCHECK_PROPERTIES_SAMPLER_RUNS_H_
#define CROSSCHECK_PROPERTIES_SAMPLER_RUNS_H_

#include <optional>
#include <string>
#include <vector>

#include "properties/judges/sampling.h"
#include "properties/property.h"
#include "properties/subjects/sampler.h"

namespace crosscheck {

// The draws of a block of fresh draws, enough to find a bias of effect size 0.07 (judging.md 13).
inline constexpr int64_t kFreshDraws = 22000;
// At most so many of a stream whose history is penalised.
inline constexpr int64_t kPenalisedDraws = 1024, kFreshPenalisedDraws = 4096;
// Generations of the first block and of a fresh one.
inline constexpr int kGenerations = 32;
inline constexpr int kFreshGenerations = 256;

// Where a finding lies: the mode, and the kind of seed where there are many.
std::string StageOf(const SamplerCase& c);

// Modes kSeeds and kStream: `draw`, block 0 with the draws of the case, later ones with
// kFreshDraws.
Message DrawMessage(const SamplerCase& c, int block);
// Mode kInvert: uniforms on the grid of 2^-24: 0, the largest, both sides of the edges of the law,
// random ones.
std::vector<float> Uniforms(const SamplerCase& c);
Message InvertMessage(const SamplerCase& c);

// Mode kGenerate, for each block: one `generate` per seed, then one `logits` run that reads prompts
// and produced tokens on the engine's session path.
Runs PlanGenerations(const Case& c, int blocks);

// The draws of a block and their laws, or the verdict of what went wrong: a failed run, an answer
// that breaks the protocol, an order of filters that is not known here (unsupported).
std::optional<Verdict> ReadBlock(const SamplerCase& c, const std::string& stage, int block,
                                 Observations& observations, DrawnBlock& drawn);
std::optional<Verdict> ReadGenerations(const SamplerCase& c, const std::string& stage, int block,
                                       Observations& observations, DrawnBlock& drawn);

// The order of filters that an answer names, or UNSUPPORTED when it is not known here.
std::optional<Verdict> ReadOrder(const Json& head, const std::string& stage,
                                 const SamplingOrder*& order);

// A `draw` or `invert` answer: `count` tokens of the vocabulary and the order of filters that it
// follows.
struct DrawAnswer {
  std::vector<int32_t> tokens;
  const SamplingOrder* order = nullptr;
};
std::optional<Verdict> ReadDrawn(const Reply& reply, const std::string& stage, size_t count,
                                 int vocab, DrawAnswer& answer);

// Mode kInvert: each token is the inverse CDF of its uniform, up to the rounding of the cumulative
// sum.
Verdict JudgeInvert(const SamplerCase& c, const std::string& stage, Observations& observations);

// The law of the next draw of the case after `history`.
absl::StatusOr<SamplingLaw> LawOfCase(const SamplerCase& c, absl::Span<const int32_t> history,
                                      const SamplingOrder& order);
// The case's parameters as the single-precision numbers that its messages carry.
SamplingParameters NarrowParameters(const SamplingParameters& parameters);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_SAMPLER_RUNS_H_
