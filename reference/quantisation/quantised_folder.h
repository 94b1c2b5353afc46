// Checkpoint folders that are quantised already, as a model of their decoded values.
//
// Known by what is in the folder:
//   quantize_index.json                       lattice Q4 and QuaRot (lattice_folder.h)
//   X F8_E4M3, X_scale_inv or X_scale         FP8; the shape of the scales says which weights share
//   one:
//                                             a tensor, a row, or a block (128 x 128, or
//                                             config.json's weight_block_size)
//   X_blocks, X_scales U8                     MXFP4 (also X_packed U8 and X_scale U8)
//   X or X_packed U8, X_scale F8_E4M3 and     NVFP4: X_scale_2 multiplies, X_global_scale is its
//   X_scale_2 or X_global_scale               reciprocal
// and everything else is a plain checkpoint. X is the name of a weight; a matrix of a mixture's
// experts is a matrix of its own.
//
// Example:
//   auto candidate = ReadQuantisedFolder(folder);
//   // candidate->model: what references and lattice f32 compute; candidate->description: what it
//   is
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_FOLDER_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "reference/weights.h"

namespace crosscheck {

// The tensors of one class that are held in one format.
struct FormatUse {
  std::string tensors;  // "projections", "lm_head", "embedding", "norms", "routers", "other"
  std::string format;   // a name of TensorFormats() where there is one
  int64_t count = 0;    // tensors
  int64_t weights = 0;
  int64_t bytes = 0;  // scales included

  bool operator==(const FormatUse&) const = default;
};

struct FolderDescription {
  std::string kind;             // "plain", "quantised safetensors", "lattice q4", "lattice quarot"
  std::vector<FormatUse> uses;  // by class, then format
  int64_t weights = 0;
  int64_t bytes = 0;
  // The residual stream is turned by RandomizedHadamard of this seed.
  std::optional<uint64_t> quarot_seed;
  // What is wrong with the configuration although the weights can be read, a sentence each.
  std::vector<std::string> findings;

  double BitsPerWeight() const;
  // "projections q4_sym, lm_head q4_sym, …, rotated with seed 42".
  std::string Text() const;
};

struct QuantisedFolder {
  Model model;
  FolderDescription description;
};

// Errors as ReadCheckpoint, and for what belongs to a format: scales of a shape that does not fit,
// that are NaN, infinite or missing, files that are truncated or lie outside the folder, formats
// that this reader does not know (kUnimplemented).
absl::StatusOr<QuantisedFolder> ReadQuantisedFolder(const std::string& folder);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_QUANTISED_FOLDER_H_
