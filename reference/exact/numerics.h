// Scalar type and order of summation of one exact model, and the few operations that depend on
// them.
//
// Every sum over a dimension of the model (dot products, norms, softmax denominators, the delta
// rule) goes through Sum, so a different order is a different legal rounding of the same model.
// SIMD runs over independent outputs only and never reorders a sum.
#ifndef CROSSCHECK_REFERENCE_EXACT_NUMERICS_H_
#define CROSSCHECK_REFERENCE_EXACT_NUMERICS_H_

#include <cmath>
#include <cstring>

namespace crosscheck::exact {

enum class SummationOrder { kForward, kReversed, kPairwise };

template <class T, SummationOrder order>
struct Numerics {
  using Scalar = T;
  static constexpr SummationOrder kOrder = order;
};
using Fp64 = Numerics<double, SummationOrder::kForward>;
using Fp64Reversed = Numerics<double, SummationOrder::kReversed>;
using Fp64Pairwise = Numerics<double, SummationOrder::kPairwise>;
using Fp32 = Numerics<float, SummationOrder::kForward>;
using Fp32Reversed = Numerics<float, SummationOrder::kReversed>;
using Fp32Pairwise = Numerics<float, SummationOrder::kPairwise>;

// Explicit instantiations of a class template for every numerics in use.
// NOLINTBEGIN(bugprone-macro-parentheses): the argument is the name of a template.
#define CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Template) \
  template class Template<Fp64>;                          \
  template class Template<Fp64Reversed>;                  \
  template class Template<Fp64Pairwise>;                  \
  template class Template<Fp32>;                          \
  template class Template<Fp32Reversed>;                  \
  template class Template<Fp32Pairwise>
// NOLINTEND(bugprone-macro-parentheses)

// A group of neighbouring outputs that are computed together: one SSE2 register. The compilers'
// vector types, because Eigen 3.4 under clang broadcasts a float through memory, which made every
// fp32 product four times slower.
template <class T>
inline constexpr int kLanes = 16 / static_cast<int>(sizeof(T));
template <class T>
struct LanesOf {
  typedef T Type
      __attribute__((vector_size(16)));  // NOLINT(modernize-use-using): attributes need typedef
};
template <class T>
using Lanes = typename LanesOf<T>::Type;

template <class T>
inline Lanes<T> Load(const T* from) {
  Lanes<T> lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
template <class T>
inline void Store(const Lanes<T>& lanes, T* to) {
  std::memcpy(to, &lanes, sizeof(lanes));
}
// `n` rounded up to whole lanes.
template <class T>
constexpr int PadToLanes(int n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// zero + term(0) + … + term(n-1). Value is a scalar, Lanes or a tile of lanes.
template <SummationOrder order, class Value, class Term>
inline Value Sum(int begin, int end, const Value& zero, const Term& term) {
  constexpr int kLeaf = 4;
  Value total = zero;
  if constexpr (order == SummationOrder::kReversed) {
    for (int i = end - 1; i >= begin; --i) total += term(i);
    return total;
  }
  if (order == SummationOrder::kForward || end - begin <= kLeaf) {
    for (int i = begin; i < end; ++i) total += term(i);
    return total;
  }
  const int middle = begin + (end - begin) / 2;
  total = Sum<order>(begin, middle, zero, term);
  total += Sum<order>(middle, end, zero, term);
  return total;
}

template <class T>
inline T Sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}
template <class T>
inline T Silu(T x) {
  return x / (T{1} + std::exp(-x));
}

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_NUMERICS_H_
