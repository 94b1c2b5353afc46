// What the block formats share: checks of their input and half-precision scales.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_BLOCKS_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_BLOCKS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace crosscheck {

// An error names the first value that is NaN or infinite. Formats have no code for it, and NaN
// passes every comparison unseen.
absl::Status CheckFinite(absl::Span<const float> values);

// An error names a number of columns that is no positive multiple of `block`, or values that are no
// whole rows.
absl::Status CheckWholeBlocks(absl::Span<const float> values, size_t columns, size_t block);

// max |value|; 0 for none.
float LargestMagnitude(absl::Span<const float> values);

// Appends two little-endian bytes. A value whose half is infinite is an error that names `what`.
absl::Status AppendHalf(float value, std::string_view what, std::string& bytes);

// The half at `at`.
float HalfAt(std::string_view bytes, size_t at);

// 16 bytes that hold 32 codes of 4 bits. Pairs: byte j holds elements 2j (low) and 2j + 1 (high).
// Halves: byte j holds elements j (low) and j + 16 (high).
enum class NibbleOrder { kPairs, kHalves };
void AppendNibbles(absl::Span<const int> codes, NibbleOrder order, std::string& bytes);
// The code of element `i` of `count` in `bytes`.
int NibbleAt(std::string_view bytes, size_t i, size_t count, NibbleOrder order);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_BLOCKS_H_
