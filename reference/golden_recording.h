// The tensors of one golden's expected.safetensors, with the account of which were used.
#ifndef CROSSCHECK_REFERENCE_GOLDEN_RECORDING_H_
#define CROSSCHECK_REFERENCE_GOLDEN_RECORDING_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/golden.h"
#include "reference/tensor.h"

namespace crosscheck {

// "p3.state.layer2.recurrent.f64" is of kind "state.recurrent", "p0.decode_logits_f32" of kind
// "decode_logits".
std::string GoldenKind(std::string_view tensor);

class GoldenRecording {
 public:
  // Reads the file, lists what can be skipped and why, and takes the float32 errors: of the tensors
  // recorded in both precisions, else what golden.json beside the file states (logits, hidden).
  static absl::StatusOr<GoldenRecording> Read(const std::string& path);

  bool Has(const std::string& name) const { return tensors_.count(name) != 0; }
  // Names of all tensors that begin and end so.
  std::vector<std::string> Names(std::string_view prefix, std::string_view suffix) const;
  // The tensor as numbers; counts as used. Integers are errors for Values, all else for Ids.
  absl::StatusOr<std::vector<double>> Values(const std::string& name);
  absl::StatusOr<std::vector<int32_t>> Ids(const std::string& name);
  const std::vector<int64_t>& Shape(const std::string& name) const;
  // Largest |float32 run - float64 run| over the recorded tensors of a kind; nothing when no
  // float32 run is recorded.
  std::optional<double> Float32Error(const std::string& kind) const;

  // Whether every tensor of the kind is listed by skipped().
  bool IsSkipped(const std::string& kind) const;
  std::vector<GoldenSkip> skipped() const;
  std::vector<std::string> Unaccounted() const;

 private:
  struct Entry {
    Tensor tensor;
    bool used = false;
    std::string skip_reason;
  };
  absl::Status TakeFloat32Errors();
  void TakeStatedErrors(const std::string& golden_json);
  // Whether an element of a pad.* tensor of `count` elements belongs to a masked position.
  bool IsPadding(const std::string& name, size_t element, size_t count) const;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, double> float32_errors_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_GOLDEN_RECORDING_H_
