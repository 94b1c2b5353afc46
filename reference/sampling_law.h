// The exact law of one draw in fp64: from logits and complete sampling parameters to probabilities,
// in the order that an engine documents.
//
// Every engine documents an order of penalty, temperature and filters; the same parameters mean
// another law in another order. The order is a value here. Where a decision falls within the
// rounding of single precision of its threshold (mass equal to top_p, a ratio equal to min_p,
// near-equal logits at rank k), the documentation does not decide: the law then has several
// readings, and an engine that follows any of them is right.
//
// Example:
//   auto law = LawOfDraw(logits, {.temperature = 0.7, .top_p = 0.9}, {}, kLatticeOrder);
//   law->readings[0].p[token];
#ifndef CROSSCHECK_REFERENCE_SAMPLING_LAW_H_
#define CROSSCHECK_REFERENCE_SAMPLING_LAW_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

// Neutral values leave the softmax of the logits as it is.
struct SamplingParameters {
  double temperature = 1;         // 0: greedy
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off, 0: the most likely token
  double min_p = 0;               // 0: off; least probability relative to the largest
  double repetition_penalty = 1;  // of each id of the history, once
  bool operator==(const SamplingParameters&) const = default;
};

struct SamplingOrder {
  std::string_view name;
  bool min_p_before_top_p;
  bool keeps_ties_at_k;  // all tokens with the k-th largest logit; otherwise exactly k, lower ids
                         // first
  // A temperature below this is greedy: the first of the largest logits.
  double least_temperature;
};
// lattice 0.15 `sampling.rs`: penalty, temperature, exact top-k, min-p, top-p, inverse CDF over
// decreasing probability. Its smallest temperature is the one whose reciprocal times 1e4 overflows
// single precision.
inline constexpr SamplingOrder kLatticeOrder{"lattice", true, false, 1e4 / 3.4028234663852886e38};
// Transformers `generation/logits_process.py`: penalty, temperature, top-k, top-p, min-p,
// multinomial.
inline constexpr SamplingOrder kHuggingFaceOrder{"huggingface", false, true, 0};
inline constexpr const SamplingOrder* kSamplingOrders[] = {&kLatticeOrder, &kHuggingFaceOrder};
// Null for a name that is none of these.
const SamplingOrder* FindSamplingOrder(std::string_view name);

struct LawReading {
  std::vector<double> p;  // [V] by outcome, sum 1
  // [V] The inverse CDF over decreasing probability, lower ids first among equals: a uniform in
  // (below, up_to) draws the token. Wider than p where the order of near-equal logits is open.
  std::vector<double> below, up_to;
  // [V] What a token counts as: itself, or the first of a run of near-equal tokens of which a
  // filter keeps some, rounding decides which.
  std::vector<int32_t> outcome;
};

struct SamplingLaw {
  std::vector<LawReading> readings;  // at least one
  // What single-precision arithmetic may move a cumulative sum of any reading by: a first-order
  // bound, units of probability.
  double cumulative_error = 0;
};

// Bounds on the rounding of a single-precision engine, unit roundoff 2^-24: the scaled logit of a
// token is off by at most 4 units of its scaled distance from the largest (temperature other than
// 1), and 2 units of its size and of that of the largest where it was penalised or biased, or the
// temperature is above 1 (then nothing is centred before it is scaled).
//
// `logits` [V] may hold -inf, never NaN or +inf, at least one finite; `bias` [V] or empty is added
// first. Ids of `history` outside 0..V-1 are ignored, as is a penalty that is not positive and
// finite. Errors (InvalidArgument) name what no law follows from.
absl::StatusOr<SamplingLaw> LawOfDraw(absl::Span<const double> logits,
                                      const SamplingParameters& parameters,
                                      absl::Span<const int32_t> history, const SamplingOrder& order,
                                      absl::Span<const double> bias = {});

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_SAMPLING_LAW_H_
