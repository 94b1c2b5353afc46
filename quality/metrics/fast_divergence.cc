#include "quality/metrics/fast_divergence.h"

#include <cmath>
#include <limits>

#include "quality/metrics/divergence.h"
#include "quality/metrics/fast_kernels.h"
#include "quality/metrics/top_k.h"

namespace crosscheck::quality {
namespace {

using fast::Scan;
using fast::Sums;

struct Kernels {
  void (*scan)(const float* row, size_t size, Scan& scan);
  void (*add)(const float* p, const float* q, size_t size, float max, float shift, Sums& sums);
};

void ScanBaseline(const float* row, size_t size, Scan& scan) { fast::ScanRow(row, size, scan); }
void AddBaseline(const float* p, const float* q, size_t size, float max, float shift, Sums& sums) {
  fast::AddRows(p, q, size, max, shift, sums);
}

#ifdef __x86_64__
#define CROSSCHECK_AVX2 [[gnu::target("arch=x86-64-v3")]]
#define CROSSCHECK_AVX512 [[gnu::target("arch=x86-64-v4")]]
CROSSCHECK_AVX2 void ScanAvx2(const float* row, size_t size, Scan& scan) {
  fast::ScanRow(row, size, scan);
}
CROSSCHECK_AVX2 void AddAvx2(const float* p, const float* q, size_t size, float max, float shift,
                             Sums& sums) {
  fast::AddRows(p, q, size, max, shift, sums);
}
CROSSCHECK_AVX512 void ScanAvx512(const float* row, size_t size, Scan& scan) {
  fast::ScanRow(row, size, scan);
}
CROSSCHECK_AVX512 void AddAvx512(const float* p, const float* q, size_t size, float max,
                                 float shift, Sums& sums) {
  fast::AddRows(p, q, size, max, shift, sums);
}
constexpr Kernels kKernels[] = {
    {ScanBaseline, AddBaseline}, {ScanAvx2, AddAvx2}, {ScanAvx512, AddAvx512}};
#else
constexpr Kernels kKernels[] = {
    {ScanBaseline, AddBaseline}, {ScanBaseline, AddBaseline}, {ScanBaseline, AddBaseline}};
#endif

Scan ScanOf(const Kernels& kernels, absl::Span<const float> row, int k, FastRow& out) {
  Scan scan;
  scan.k = static_cast<size_t>(std::max(k, 0));
  kernels.scan(row.data(), row.size(), scan);
  scan.Shrink();
  std::sort(scan.largest.begin(), scan.largest.end());
  out.argmax = scan.argmax;
  out.top.clear();
  for (const auto& [key, id] : scan.largest) out.top.push_back(id);
  return scan;
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

// Fills kl and both lse from sums about `shift`. False where too little is left of them after
// cancellation: most of p has moved by another amount than `shift`.
bool Finish(const Sums& sums, double max, double shift, FastResult& result) {
  const double convex = sums.convex / sums.weight;
  const double y = sums.linear / sums.weight + convex;
  result.kl = LogMinusLinear(y) + convex;
  result.reference.lse = max + std::log(sums.weight);
  result.candidate.lse = result.reference.lse + shift + std::log1p(y);
  constexpr double kRounding = 2e-7;  // of y, which enters with its derivative
  const double error = kRounding * std::abs(sums.linear / sums.weight) * std::abs(y / (1 + y));
  return error <= 2e-6 * result.kl + 1e-10;
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
  const Kernels& kernels = kKernels[static_cast<size_t>(set_)];
  const Scan p = ScanOf(kernels, reference, k_, result_.reference);
  const Scan q = ScanOf(kernels, candidate, k_, result_.candidate);
  if (!p.finite() || !q.finite()) {
    Slow(reference, candidate, k_, result_);
    return result_;
  }
  result_.non_finite = 0;
  const float max = reference[static_cast<size_t>(p.argmax)];
  const float candidate_max = candidate[static_cast<size_t>(q.argmax)];
  float shift = candidate_max - max;
  for (int round = 0; round < 2; ++round) {
    Sums sums;
    kernels.add(reference.data(), candidate.data(), reference.size(), max, shift, sums);
    if (Finish(sums, max, shift, result_)) return result_;
    shift += static_cast<float>(sums.linear / sums.weight);
    constexpr float kLargestExponent = 60;
    if (!(candidate_max - max - shift < kLargestExponent)) break;
  }
  Slow(reference, candidate, k_, result_);
  return result_;
}

}  // namespace crosscheck::quality
