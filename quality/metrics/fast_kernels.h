// The loops of fast_divergence.cc, compiled once for each instruction set. Written so that the
// compiler makes SIMD of them without -ffast-math, which would delete the rounding inside Exp.
#ifndef CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_
#define CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#define CROSSCHECK_INLINE [[gnu::always_inline]] inline

namespace crosscheck::quality::fast {

inline constexpr size_t kGroup = 64;  // neighbours whose maximum is kept

// Terms of a sum in fp32. They are spread over the lanes of a SIMD register; builds that do not
// vectorise have one lane, which rounds as much after fewer terms.
#if __has_feature(address_sanitizer)
inline constexpr size_t kTerms = kGroup;
#else
inline constexpr size_t kTerms = 1024;
#endif

using Vector = float __attribute__((vector_size(64)));  // local variables only: no ABI of its own

// The maxima of the groups of a row, and whether all of it is finite.
CROSSCHECK_INLINE void AddMaxima(const float* row, size_t size, float* maxima, float& poison) {
  Vector zeros{};  // turns NaN as soon as an infinity or a NaN was multiplied by 0
  size_t i = 0;
  for (; i + kGroup <= size; i += kGroup) {
    Vector a, b, c, d;
    std::memcpy(&a, row + i, sizeof a);
    std::memcpy(&b, row + i + 16, sizeof b);
    std::memcpy(&c, row + i + 32, sizeof c);
    std::memcpy(&d, row + i + 48, sizeof d);
    zeros += a * 0.0f + b * 0.0f + (c * 0.0f + d * 0.0f);
    a = a > b ? a : b;
    c = c > d ? c : d;
    a = a > c ? a : c;
    const auto e8 = __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7);
    const auto f8 = __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
    const auto m8 = e8 > f8 ? e8 : f8;
    const auto e4 = __builtin_shufflevector(m8, m8, 0, 1, 2, 3);
    const auto f4 = __builtin_shufflevector(m8, m8, 4, 5, 6, 7);
    const auto m4 = e4 > f4 ? e4 : f4;
    maxima[i / kGroup] = std::max(std::max(m4[0], m4[1]), std::max(m4[2], m4[3]));
  }
  float rest = 0;
  for (int lane = 0; lane < 16; ++lane) rest += zeros[lane];
  if (i < size) maxima[i / kGroup] = row[i];
  for (; i < size; ++i) {
    rest += row[i] * 0.0f;
    maxima[i / kGroup] = std::max(maxima[i / kGroup], row[i]);
  }
  poison += rest;
}

// e^a within 2e-7 of its value for -87 <= a <= 88; 0 below, e^88 above.
CROSSCHECK_INLINE float Exp(float a) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added loses its fraction
  const float above = a < -87.0f ? -87.0f : a;
  const float clamped = above > 88.0f ? 88.0f : above;
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

// With w = e^(z - max) and x = (z' - z) - shift: sums of w, w x, w (e^x - 1 - x) and w e^x. The
// last is the sum of the others, and precise where they cancel.
struct Sums {
  double weight = 0, linear = 0, convex = 0, other = 0;

  void Scale(double factor) {
    weight *= factor, linear *= factor, convex *= factor, other *= factor;
  }
  void Add(const Sums& s) {
    weight += s.weight, linear += s.linear, convex += s.convex, other += s.other;
  }
};

// Of at most kTerms terms; returns the bits of the largest |x|, above which e^x - 1 - x is no
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
  sums = {weight, linear, convex, 0};
  sums.other = sums.weight + sums.linear + sums.convex;
  return largest;
}

// The same for x of any size: a second exponential, of z' - (max + shift) without rounding that
// sum.
CROSSCHECK_INLINE void AddLarge(const float* p, const float* q, size_t size, float max, float shift,
                                Sums& sums) {
  const double base = static_cast<double>(max) + shift;
  const auto high = static_cast<float>(base);
  const auto low = static_cast<float>(base - high);
  float weight = 0, linear = 0, convex = 0, other = 0;
  for (size_t i = 0; i < size; ++i) {
    const float w = Exp(p[i] - max), x = (q[i] - p[i]) - shift;
    const float inside = x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
    const float moved = Exp((q[i] - high) - low), far = moved - w * (1.0f + x);
    const float near = w * ExpMinusLinearSmall(inside);
    const float wx = w * x, term = inside == x ? near : far;
    {
#pragma clang fp reassociate(on)
      weight += w;
      linear += wx;
      convex += term;
      other += moved;
    }
  }
  sums = {weight, linear, convex, other};
}

// What one look at two rows finds.
struct Pass {
  float max = -std::numeric_limits<float>::infinity();  // of p, in whose exponentials sums are
  float shift = 0;
  Sums sums;
  float poison = 0;  // NaN: some logit is not finite
};

// One pass over both rows: group maxima, and the sums about `shift`; where `choose`, the shift is
// first set to the difference at the largest logit of the first block. Each block is summed while
// it is in the cache.
CROSSCHECK_INLINE void Compare(const float* p, const float* q, size_t size, bool choose,
                               float* p_maxima, float* q_maxima, Pass& pass) {
  constexpr int32_t kOne = std::bit_cast<int32_t>(1.0f);
  bool large = false;  // the block before was: so will be this one
  for (size_t begin = 0; begin < size; begin += kTerms) {
    const size_t count = std::min(kTerms, size - begin);
    float* maxima = p_maxima + begin / kGroup;
    AddMaxima(p + begin, count, maxima, pass.poison);
    AddMaxima(q + begin, count, q_maxima + begin / kGroup, pass.poison);
    const float max = *std::max_element(maxima, maxima + (count + kGroup - 1) / kGroup);
    if (max > pass.max) {
      pass.sums.Scale(std::exp(static_cast<double>(pass.max) - max));
      pass.max = max;
    }
    if (choose && begin == 0) {
      const size_t top = static_cast<size_t>(std::find(p, p + count, max) - p) % count;
      pass.shift = q[top] - p[top];
    }
    Sums block;
    if (!large) {
      large = AddSmall(p + begin, q + begin, count, pass.max, pass.shift, block) > kOne;
    }
    if (large) AddLarge(p + begin, q + begin, count, pass.max, pass.shift, block);
    pass.sums.Add(block);
  }
}

// With D = ln q - ln p: sums of e^(z - max) |e^D - 1| and e^(z - max) (e^D (D - 1) + 1), which are
// |q - p| and q (e^-D - 1 + D); of x, its square, and its extremes.
struct Details {
  double variation = 0, reverse = 0, linear = 0, square = 0;
  int32_t least = std::numeric_limits<int32_t>::max();
  int32_t largest = std::numeric_limits<int32_t>::min();
};

// Grows with x, integers compare as the floats do; its own inverse.
CROSSCHECK_INLINE int32_t OrderedBits(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

// D = x - rest, and e^(z - max + D) = e^(z' - other_max - gap).
struct Centre {
  float max = 0, shift = 0, rest = 0, other_max = 0, gap = 0;
};

CROSSCHECK_INLINE void AddDetails(const float* p, const float* q, size_t size, const Centre& centre,
                                  Details& details) {
  const auto [max, shift, rest, other_max, gap] = centre;
  for (size_t begin = 0; begin < size; begin += kTerms) {
    const size_t end = std::min(begin + kTerms, size);
    float variation = 0, reverse = 0, linear = 0, square = 0;
    int32_t least = details.least, largest = details.largest;
    for (size_t i = begin; i < end; ++i) {
      const float w = Exp(p[i] - max), x = (q[i] - p[i]) - shift, d = x - rest;
      const float inside = d < -1.0f ? -1.0f : d > 1.0f ? 1.0f : d;
      const float convex = ExpMinusLinearSmall(inside), other = Exp((q[i] - other_max) - gap);
      const bool near = inside == d;
      const float change = near ? w * (d + convex) : other - w;
      const float back = near ? w * (d * d - convex * (1.0f - d)) : w - other * (1.0f - d);
      const float size_of_change = __builtin_fabsf(change), x_square = x * x;
      least = std::min(least, OrderedBits(std::bit_cast<int32_t>(x)));
      largest = std::max(largest, OrderedBits(std::bit_cast<int32_t>(x)));
      {
#pragma clang fp reassociate(on)
        variation += size_of_change;
        reverse += back;
        linear += x;
        square += x_square;
      }
    }
    details.least = least, details.largest = largest;
    details.variation += variation, details.reverse += reverse;
    details.linear += linear, details.square += square;
  }
}

}  // namespace crosscheck::quality::fast

#endif  // CROSSCHECK_QUALITY_METRICS_FAST_KERNELS_H_
