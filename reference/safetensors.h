// The safetensors container, read and written. Used for checkpoints, golden files and the payload
// of engine messages.
//
// Readers check everything (header length, JSON, offsets, overlaps, gaps, sizes) before they look
// at data: input is hostile.
#ifndef CROSSCHECK_REFERENCE_SAFETENSORS_H_
#define CROSSCHECK_REFERENCE_SAFETENSORS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/tensor.h"

namespace crosscheck {

// A tensor whose bytes lie elsewhere, so that encoding copies them once.
struct TensorView {
  std::string_view name;
  DType dtype;
  absl::Span<const int64_t> shape;
  std::string_view bytes;
};

// Tensors keep their order; the header is padded to 8 bytes.
std::string EncodeSafetensors(const std::vector<Tensor>& tensors);
std::string EncodeSafetensors(absl::Span<const TensorView> tensors);
absl::StatusOr<std::vector<Tensor>> DecodeSafetensors(std::string_view bytes);

// kAtomic: a temporary file beside it, then rename; nothing half-written. kOverwrite: in place, for
// folders of our own.
enum class WriteMode { kAtomic, kOverwrite };
absl::Status WriteFile(const std::string& path, std::string_view bytes,
                       WriteMode mode = WriteMode::kAtomic);
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_SAFETENSORS_H_
