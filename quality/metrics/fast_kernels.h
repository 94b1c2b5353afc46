// The loops of fast_divergence.cc, compiled once for each instruction set. Written so that the
// compiler makes SIMD of them without -ffast-math, which would delete the rounding inside Exp.
#ifndef CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_
#define CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#define CROSSCHECK_INLINE [[gnu::always_inline]] inline

namespace crosscheck::quality::fast {

// Grows with z, integers compare as the floats do; -0 is +0. Beyond +-kLargestFinite: infinity,
// NaN.
CROSSCHECK_INLINE int32_t Key(float z) {
  const auto bits = std::bit_cast<int32_t>(z + 0.0f);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
inline constexpr int32_t kLargestFinite = 0x7f7fffff;
inline constexpr int32_t kLeastFinite = ~kLargestFinite;

// What one look at a row finds: the argmax, whether all is finite, and candidates for the top k.
struct Scan {
  size_t k = 0;
  int32_t max = std::numeric_limits<int32_t>::min(), min = std::numeric_limits<int32_t>::max();
  int32_t argmax = -1;
  int32_t threshold = std::numeric_limits<int32_t>::min();  // key of the k-th largest so far
  std::vector<std::pair<int32_t, int32_t>> largest;         // (-key - 1, id): sorts as TopKIds

  bool finite() const { return max <= kLargestFinite && min >= kLeastFinite; }
  void Shrink() {
    if (largest.size() <= k) return;
    const auto end = largest.begin() + static_cast<ptrdiff_t>(k);
    std::nth_element(largest.begin(), end - 1, largest.end());
    largest.erase(end, largest.end());
    threshold = ~largest.back().first;
  }
  // Looks closer at a block that holds a new maximum or a member of the top k.
  void Take(const float* row, size_t begin, size_t end, int32_t block_max) {
    for (size_t i = begin; i < end; ++i) {
      const int32_t key = Key(row[i]);
      if (key == block_max && key > max) max = key, argmax = static_cast<int32_t>(i);
      if (k == 0 || key <= threshold) continue;
      largest.emplace_back(~key, static_cast<int32_t>(i));
      if (largest.size() >= 2 * k + 64) Shrink();
    }
  }
};

CROSSCHECK_INLINE void ScanRow(const float* row, size_t size, Scan& scan) {
  constexpr size_t kBlock = 128;
  for (size_t begin = 0; begin < size; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, size);
    int32_t max = std::numeric_limits<int32_t>::min(), min = std::numeric_limits<int32_t>::max();
    for (size_t i = begin; i < end; ++i) {
      const int32_t key = Key(row[i]);
      max = std::max(max, key);
      min = std::min(min, key);
    }
    scan.min = std::min(scan.min, min);
    if (max > scan.max || (scan.k > 0 && max > scan.threshold)) scan.Take(row, begin, end, max);
  }
}

// e^a for a <= 88, within 2e-7 of its value; 0 below -87.
CROSSCHECK_INLINE float Exp(float a) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added loses its fraction
  const float clamped = a < -87.0f ? -87.0f : a;
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693145752f) - n * 1.42860677e-6f;
  float e = 1.0f / 5040;
  e = e * r + 1.0f / 720;
  e = e * r + 1.0f / 120;
  e = e * r + 1.0f / 24;
  e = e * r + 1.0f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.0f;
  e = e * r + 1.0f;
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) << 23;
  const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(e) + exponent);
  return a < -87.0f ? 0.0f : power;
}

// (e^x - 1 - x) for |x| <= 1.
CROSSCHECK_INLINE float ExpMinusLinearSmall(float x) {
  float e = 1.0f / 39916800;
  e = e * x + 1.0f / 3628800;
  e = e * x + 1.0f / 362880;
  e = e * x + 1.0f / 40320;
  e = e * x + 1.0f / 5040;
  e = e * x + 1.0f / 720;
  e = e * x + 1.0f / 120;
  e = e * x + 1.0f / 24;
  e = e * x + 1.0f / 6;
  e = e * x + 0.5f;
  return x * x * e;
}

// With w = e^(z - max) and x = (z' - z) - shift: sums of w, w x and w (e^x - 1 - x).
struct Sums {
  double weight = 0, linear = 0, convex = 0;
};

// At most 1,024 terms; returns the bits of the largest |x|, above which e^x - 1 - x is no
// polynomial.
CROSSCHECK_INLINE int32_t AddSmall(const float* p, const float* q, size_t size, float max,
                                   float shift, Sums& sums) {
  float weight = 0, linear = 0, convex = 0;
  int32_t largest = 0;
  for (size_t i = 0; i < size; ++i) {
    const float w = Exp(p[i] - max), x = (q[i] - p[i]) - shift;
    largest = std::max(largest, std::bit_cast<int32_t>(x) & 0x7fffffff);
    const float wx = w * x, term = w * ExpMinusLinearSmall(x);
    {
#pragma clang fp reassociate(on)
      weight += w;
      linear += wx;
      convex += term;
    }
  }
  sums.weight += weight, sums.linear += linear, sums.convex += convex;
  return largest;
}

// The same for x of any size: a second exponential.
CROSSCHECK_INLINE void AddLarge(const float* p, const float* q, size_t size, float max, float shift,
                                Sums& sums) {
  float weight = 0, linear = 0, convex = 0;
  for (size_t i = 0; i < size; ++i) {
    const float a = p[i] - max, w = Exp(a), x = (q[i] - p[i]) - shift;
    const float inside = x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
    const float far = Exp(a + x) - w * (1.0f + x), near = w * ExpMinusLinearSmall(inside);
    const float wx = w * x, term = inside == x ? near : far;
    {
#pragma clang fp reassociate(on)
      weight += w;
      linear += wx;
      convex += term;
    }
  }
  sums.weight += weight, sums.linear += linear, sums.convex += convex;
}

CROSSCHECK_INLINE void AddRows(const float* p, const float* q, size_t size, float max, float shift,
                               Sums& sums) {
  constexpr size_t kBlock = 1024;
  constexpr int32_t kOne = std::bit_cast<int32_t>(1.0f);
  bool large = false;  // the last block was: so will be this one
  for (size_t begin = 0; begin < size; begin += kBlock) {
    const size_t count = std::min(kBlock, size - begin);
    if (!large) {
      Sums block;
      large = AddSmall(p + begin, q + begin, count, max, shift, block) > kOne;
      if (!large) {
        sums.weight += block.weight, sums.linear += block.linear, sums.convex += block.convex;
        continue;
      }
    }
    AddLarge(p + begin, q + begin, count, max, shift, sums);
  }
}

}  // namespace crosscheck::quality::fast

#endif  // CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_
