// Bit identity of tensors in two answers, for relations that allow no rounding at all.
#ifndef CROSSCHECK_PROPERTIES_JUDGES_IDENTICAL_H_
#define CROSSCHECK_PROPERTIES_JUDGES_IDENTICAL_H_

#include <cstdint>
#include <string>

#include "reference/tensor.h"

namespace crosscheck {

// Empty when rows `begin` to `end` (of the leading dimension) of both tensors hold the same bits,
// else what differs first: "row 3, element 17: 0.25 and 0.250001", or the dtypes or shapes. Rows
// that neither has are equal.
std::string FirstDifference(const Tensor& a, const Tensor& b, int64_t begin, int64_t end);

// The same for whole tensors.
std::string FirstDifference(const Tensor& a, const Tensor& b);

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_JUDGES_IDENTICAL_H_
