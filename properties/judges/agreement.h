// Two answers of the engine to one question differ by no more than two legal roundings do
// (judging.md 7, mode bound).
//
// Each answer may be as far from the exact model as judges/tolerance.h allows on its path, b_1 and
// b_2. The errors of two roundings add in quadrature, so the answers may be sqrt(b_1^2 + b_2^2)
// apart: less than the b_1 + b_2 of two answers that are each inside their own bound. References
// are consulted on both paths, one by one, until the pair passes.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_AGREEMENT_H_
#define CROSSCHECK_PROPERTIES_JUDGES_AGREEMENT_H_

#include <string_view>

#include "absl/types/span.h"
#include "properties/judges/tolerance.h"

namespace crosscheck {

// One of the two: what the engine answered to `c` on `path`, and the first observation of
// AppendPerturbed for that request.
struct Side {
  const ModelRunCase& c;
  ModelPath path;
  const LogitsAnswer& answer;
  size_t first_reference;
};

// PASS at once when every shared position has the same bits, which needs no reference; else the
// exact model, observation `exact`, must be finite where the engine is, and the difference within
// its bound: otherwise ENGINE_BUG/numeric. `judged` counts the shared positions.
Verdict JudgeAgreement(const Side& a, const Side& b, std::string_view stage, size_t exact,
                       Observations& observations);

// Two computations of -ln p(next token) for the first sequence of `c`, at positions 0, 1, … of
// both; their logits were made as those of path readout. Logits that are off by at most e shift ln
// p by at most 2 e (judging.md 3.4); the sum over the vocabulary and the subtraction round too.
// Same verdicts as above.
Verdict JudgeNllAgreement(const ModelRunCase& c, absl::Span<const double> first,
                          absl::Span<const double> second, std::string_view stage, size_t exact,
                          size_t first_reference, Observations& observations);

// Adds what a passed comparison judged to `sum`, which keeps the largest share of the bound for
// each metric and path. False, and `sum` as it was, when `part` did not pass.
bool AddPassed(const Verdict& part, Verdict& sum);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_AGREEMENT_H_
