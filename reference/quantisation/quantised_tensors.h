// The quantised tensors of a safetensors checkpoint, decoded in place (quantised_folder.h has the
// layouts).
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_TENSORS_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_TENSORS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "reference/checkpoint_tensors.h"

namespace crosscheck {

struct TensorEncoding {
  std::string format;
  int64_t bytes = 0;
};

struct Fp8Block {
  int64_t rows = 128;
  int64_t columns = 128;
};

// Replaces quantised tensors by F32 ones under the name of their weight and says which it replaced.
absl::StatusOr<std::map<std::string, TensorEncoding>> DecodeQuantisedTensors(
    const Fp8Block& block, CheckpointTensors& tensors);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_TENSORS_H_
