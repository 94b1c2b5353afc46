// Folders of lattice's Q4 converters: one file for each tensor and `quantize_index.json`.
//
// `NAME.q4`: "KHQ4", u32 version 2, u32 ndim, u64 extents, u64 number of weights, blocks of 20
// bytes (lattice_q4.h). `NAME.f16`: "KHF1", u32 version 1, the same header, halves. All
// little-endian. NAME is the tensor's name with everything but letters, digits and `-` replaced by
// `_`. The index is a list of {name, file, quantized, shape, numel}, or for QuaRot {"quarot_seed":
// u64, "tensors": [...]}. Norms, convolution, A_log and dt_bias are halves too: what such a folder
// means are these values.
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_FOLDER_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_FOLDER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/quantisation/lattice_q4.h"
#include "reference/tensor.h"
#include "reference/weights.h"

namespace crosscheck {

inline constexpr char kLatticeIndexFile[] = "quantize_index.json";

// A file image.
absl::StatusOr<std::string> EncodeQ4File(absl::Span<const float> values,
                                         absl::Span<const int64_t> shape, Q4Mode mode);
// Errors: a value that half precision cannot hold.
absl::StatusOr<std::string> EncodeKhf1File(absl::Span<const float> values,
                                           absl::Span<const int64_t> shape);

// A tensor of a lattice folder, decoded.
struct LatticeTensor {
  Tensor tensor;           // F32 for Q4, F16 for KHF1; without a name
  bool quantised = false;  // KHQ4
  int64_t blocks = 0;
  int64_t asymmetric_blocks = 0;  // with a bias other than -8 scale
};

// Reads either kind by its magic. Errors name what is wrong: another version, a header that does
// not fit the file, a block whose scale is 0 or not finite, a bias that is not finite. Scales may
// be negative.
absl::StatusOr<LatticeTensor> DecodeLatticeFile(std::string_view bytes);

struct LatticeIndexEntry {
  std::string name;
  std::string file;  // a plain name inside the folder
  std::vector<int64_t> shape;
};
struct LatticeIndex {
  std::optional<uint64_t> quarot_seed;
  bool is_object = false;  // as only the QuaRot converter writes it
  std::vector<LatticeIndexEntry> entries;
};

// Errors: JSON of another form, a file name that leaves the folder, a name that occurs twice, a
// recipe of rotations at run time (`artifact_version` v1), which no weights can stand for.
absl::StatusOr<LatticeIndex> ParseLatticeIndex(std::string_view text);

// NAME of a tensor's file.
std::string LatticeFileStem(std::string_view tensor_name);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_LATTICE_FOLDER_H_
