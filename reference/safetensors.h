// The safetensors container, read and written. Used for checkpoints, golden files and the payload of engine messages.
//
// Readers check everything (header length, JSON, offsets, overlaps, gaps, sizes) before they look at data: input is hostile.
#ifndef CROSSCHECK_REFERENCE_SAFETENSORS_H_
#define CROSSCHECK_REFERENCE_SAFETENSORS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/tensor.h"

namespace crosscheck {

// Tensors keep their order; the header is padded to 8 bytes.
std::string EncodeSafetensors(const std::vector<Tensor>& tensors);
absl::StatusOr<std::vector<Tensor>> DecodeSafetensors(std::string_view bytes);

absl::Status WriteFile(const std::string& path, std::string_view bytes);      // atomic: temporary file, then rename
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_SAFETENSORS_H_
