// Every weight format by name: what a matrix becomes in it, how many bytes it takes, and how far it
// is off.
//
// A new format is a file beside this one (its bytes, `Encode` and `Decode`) and a row of the table
// in tensor_format.cc. WeightFormat (weight_format.h) is something else: how an engine serves a
// checkpoint, the head, the embedding and its activations included.
//
// Example:
//   const TensorFormat* format = FindTensorFormat("q4_0");
//   auto decoded = format->decode({values, rows, columns});   // decoded->values, decoded->bytes
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_TENSOR_FORMAT_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_TENSOR_FORMAT_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace crosscheck {

struct MatrixView {
  absl::Span<const float> values;  // row-major [rows, columns]
  size_t rows = 0;
  size_t columns = 0;
};

struct DecodedMatrix {
  std::vector<float> values;  // what a correct engine multiplies with, row-major
  int64_t bytes = 0;          // of the encoded matrix, scales included
};

struct TensorFormat {
  std::string_view name;
  std::string_view summary;
  double bits_per_weight = 0;  // of a large matrix
  // Relative RMS error ‖decoded - w‖/‖w‖ of independent normal weights (quality.md 5.3). A result
  // twice as large has a scale or packing bug; one that is far smaller is not quantising.
  double normal_error = 0;
  // Encodes and decodes. An error names what the format cannot hold: uneven rows, a value that is
  // not finite, a scale that overflows.
  absl::StatusOr<DecodedMatrix> (*decode)(const MatrixView& matrix) = nullptr;
};

absl::Span<const TensorFormat> TensorFormats();
// Null when there is none of that name.
const TensorFormat* FindTensorFormat(std::string_view name);

// sqrt(sum (decoded - w)^2 / sum w^2) in fp64; 0 where both are 0.
struct RelativeError {
  double squared_error = 0;
  double squared_sum = 0;

  void Add(absl::Span<const float> stored, absl::Span<const float> decoded);
  double Value() const;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_TENSOR_FORMAT_H_
