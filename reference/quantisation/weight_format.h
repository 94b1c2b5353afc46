// The formats in which an engine may hold the weights of a checkpoint, as changes of a Model: what
// the references compute with so that loss is not taken for a bug.
//
// | format | projections | head | embedding | inputs of projections and head |
// |---|---|---|---|---|
// | f32 | as stored | as stored | as stored | float32 |
// | f16 | f16 | f16 | f16 | float32 |
// | int8 | one scale a row | as stored | as stored | float32 |
// | q8_0 | blocks of 32 | blocks of 32 | as stored | 8-bit codes, one scale a vector |
//
// Norms, convolution, A_log and dt_bias stay as stored. These are the formats of lattice's CPU
// paths `cpu_f16`, `cpu_q8` and `neon_forward`.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_WEIGHT_FORMAT_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_WEIGHT_FORMAT_H_

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "reference/weights.h"

namespace crosscheck {

// Replaces the values of `model` by what a correct engine decodes. An error names a tensor whose
// shape the format cannot hold.
absl::Status ServeAs(WeightFormat format, Model& model);

std::optional<WeightFormat> FindWeightFormat(std::string_view name);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_WEIGHT_FORMAT_H_
