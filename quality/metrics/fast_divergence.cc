#include "quality/metrics/fast_divergence.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "quality/metrics/divergence.h"
#include "quality/metrics/fast_kernels.h"
#include "quality/metrics/top_k.h"

namespace crosscheck::quality {
namespace {

struct Kernels {
  void (*compare)(const float* p, const float* q, size_t size, bool choose, float* p_maxima,
                  float* q_maxima, fast::Pass& pass);
  void (*details)(const float* p, const float* q, size_t size, const fast::Centre& centre,
                  fast::Details& details);
};

// The loops compiled for an instruction set.
#define CROSSCHECK_KERNELS(name, attribute)                                              \
  attribute void Compare##name(const float* p, const float* q, size_t size, bool choose, \
                               float* p_maxima, float* q_maxima, fast::Pass& pass) {     \
    fast::Compare(p, q, size, choose, p_maxima, q_maxima, pass);                         \
  }                                                                                      \
  attribute void Details##name(const float* p, const float* q, size_t size,              \
                               const fast::Centre& centre, fast::Details& details) {     \
    fast::AddDetails(p, q, size, centre, details);                                       \
  }

CROSSCHECK_KERNELS(Baseline, )
#ifdef __x86_64__
CROSSCHECK_KERNELS(Avx2, [[gnu::target("avx2,fma,bmi,bmi2")]])
// Features, not an architecture level: that would prefer vectors of 256 bits.
CROSSCHECK_KERNELS(Avx512, [[gnu::target("avx512f,avx512bw,avx512cd,avx512dq,avx512vl,"
                                         "avx2,fma,bmi,bmi2")]])
constexpr Kernels kKernels[] = {
    {CompareBaseline, DetailsBaseline}, {CompareAvx2, DetailsAvx2}, {CompareAvx512, DetailsAvx512}};
#else
constexpr Kernels kKernels[] = {{CompareBaseline, DetailsBaseline}};
#endif

// Of the k largest group maxima the least bounds the k largest logits from below: only groups that
// reach it are looked at again.
void ReadTop(absl::Span<const float> row, const std::vector<float>& maxima, int k, FastRow& out,
             std::vector<float>& scratch) {
  const float max = *std::max_element(maxima.begin(), maxima.end());
  float least = max;
  if (k > 1) {
    least = -std::numeric_limits<float>::infinity();
    if (const auto rank = static_cast<size_t>(k - 1); rank < maxima.size()) {
      scratch = maxima;
      const auto nth = scratch.begin() + static_cast<ptrdiff_t>(rank);
      std::nth_element(scratch.begin(), nth, scratch.end(), std::greater<>());
      least = *nth;
    }
  }
  out.top.clear();
  for (size_t g = 0; g < maxima.size(); ++g) {
    if (maxima[g] < least) continue;
    const size_t end = std::min((g + 1) * fast::kGroup, row.size());
    for (size_t i = g * fast::kGroup; i < end; ++i) {
      if (row[i] >= least) out.top.push_back(static_cast<int32_t>(i));
    }
  }
  const auto before = [&](int32_t a, int32_t b) {
    return row[a] != row[b] ? row[a] > row[b] : a < b;
  };
  const size_t wanted = std::min(static_cast<size_t>(std::max(k, 1)), out.top.size());
  std::partial_sort(out.top.begin(), out.top.begin() + static_cast<ptrdiff_t>(wanted),
                    out.top.end(), before);
  out.argmax = out.top.front();
  out.top.resize(k > 0 ? wanted : 0);
}

void ReadSlowly(absl::Span<const float> row, int k, double lse, FastRow& out) {
  out.top = TopKIds(row, std::max(k, 1));
  out.argmax = out.top.empty() ? -1 : out.top[0];
  if (k <= 0) out.top.clear();
  out.lse = lse;
}

void Slow(absl::Span<const float> p, absl::Span<const float> q, int k, FastResult& result) {
  const Divergence d = DivergenceOf(p, q);
  result.kl = d.kl;
  result.non_finite = d.non_finite;
  ReadSlowly(p, k, d.reference_lse, result.reference);
  ReadSlowly(q, k, d.candidate_lse, result.candidate);
}

// Fills kl and both lse. False where too little is left of the sums after cancellation: most of p
// has moved by another amount than the shift.
bool Finish(const fast::Pass& pass, FastResult& result) {
  const fast::Sums& sums = pass.sums;
  const double convex = sums.convex / sums.weight, linear = sums.linear / sums.weight;
  // Whichever form cancels less.
  const double y = std::abs(linear) > 1 ? sums.other / sums.weight - 1 : linear + convex;
  result.kl = LogMinusLinear(y) + convex;
  result.reference.lse = pass.max + std::log(sums.weight);
  result.candidate.lse = result.reference.lse + pass.shift + std::log1p(y);
  constexpr double kRounding = 2e-7;  // of y, which enters with its derivative
  constexpr double kLargest = 1e15;   // beyond, single exponentials may have overflown
  const double error = kRounding * std::abs(linear) * std::abs(y / (1 + y));
  return y < kLargest && error <= 2e-6 * result.kl + 1e-10;
}

}  // namespace

InstructionSet BestInstructionSet() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  if (avx2) return avx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

const FastResult& FastDivergence::operator()(absl::Span<const float> reference,
                                             absl::Span<const float> candidate) {
  const size_t groups = (reference.size() + fast::kGroup - 1) / fast::kGroup;
  reference_maxima_.resize(groups);
  candidate_maxima_.resize(groups);
  const Kernels& kernels = kKernels[static_cast<size_t>(set_)];
  fast::Pass pass;
  bool done = false;
  for (int round = 0; round < 3 && !done; ++round) {
    const float shift =
        pass.shift + static_cast<float>(round == 0 ? 0 : pass.sums.linear / pass.sums.weight);
    pass = {};
    pass.shift = shift;
    kernels.compare(reference.data(), candidate.data(), reference.size(), round == 0,
                    reference_maxima_.data(), candidate_maxima_.data(), pass);
    if (std::isnan(pass.poison)) break;
    done = Finish(pass, result_);
  }
  slow_ = !done;
  if (slow_) {
    Slow(reference, candidate, k_, result_);
    return result_;
  }
  result_.non_finite = 0;
  shift_ = pass.shift;
  max_ = pass.max;
  ReadTop(reference, reference_maxima_, k_, result_.reference, scratch_);
  ReadTop(candidate, candidate_maxima_, k_, result_.candidate, scratch_);
  return result_;
}

FastDetails FastDivergence::Details(absl::Span<const float> reference,
                                    absl::Span<const float> candidate) const {
  if (slow_) {
    const Divergence d = DivergenceOf(reference, candidate);
    return {d.reverse_kl, d.total_variation, d.centred_linf, d.centred_rms};
  }
  // ln q - ln p = (z' - z) - shift - rest, with the shift as the fp32 number that it is.
  const double rest = result_.candidate.lse - result_.reference.lse - shift_;
  const float other_max = candidate[static_cast<size_t>(result_.candidate.argmax)];
  const fast::Centre centre{
      .max = max_,
      .shift = shift_,
      .rest = static_cast<float>(rest),
      .other_max = other_max,
      .gap = static_cast<float>(static_cast<double>(max_) + shift_ + rest - other_max)};
  fast::Details sums;
  kKernels[static_cast<size_t>(set_)].details(reference.data(), candidate.data(), reference.size(),
                                              centre, sums);
  const double scale = std::exp(max_ - result_.reference.lse);
  const auto count = static_cast<double>(reference.size());
  const double mean = sums.linear / count;
  const auto value = [](int32_t bits) {
    return static_cast<double>(std::bit_cast<float>(fast::OrderedBits(bits)));
  };
  return {.reverse_kl = scale * sums.reverse,
          .total_variation = scale * sums.variation / 2,
          .centred_linf = std::max(value(sums.largest) - mean, mean - value(sums.least)),
          .centred_rms = std::sqrt(std::max(0.0, sums.square / count - mean * mean))};
}

}  // namespace crosscheck::quality
