// A model whose weights are those that a format leaves: what lattice f32 and both references
// compute where an engine has no forward pass for the format, so that its loss can be measured.
//
// Norms, convolution, A_log, dt_bias and the routers of a mixture stay as stored; projections, head
// and embedding each have a format of their own.
//
// Example:
//   auto formats = ParseModelFormats("q4_sym:head=q8_0:quarot=42");
//   auto sizes = DecodeAs(*formats, model);      // model.values are the decoded ones, F32 storage
//   WriteCheckpoint(model, folder);              // lattice f32 computes with them
#ifndef CROSSCHECK_REFERENCE_QUANTISATION_DECODED_MODEL_H_
#define CROSSCHECK_REFERENCE_QUANTISATION_DECODED_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "reference/quantisation/tensor_format.h"
#include "reference/weights.h"

namespace crosscheck {

// Null: as stored. A tied model whose head and embedding do not get the same format is untied.
struct ModelFormats {
  const TensorFormat* projections = nullptr;
  const TensorFormat* head = nullptr;
  const TensorFormat* embedding = nullptr;
  std::optional<uint64_t> quarot_seed;  // the rotation is fused before anything is encoded
};

// FORMAT[:head=FORMAT][:embedding=FORMAT][:quarot=SEED], FORMAT a name of TensorFormats() or
// `stored`. An error lists the names.
absl::StatusOr<ModelFormats> ParseModelFormats(std::string_view text);
// The inverse of ParseModelFormats.
std::string ModelFormatsName(const ModelFormats& formats);

// What a model takes and loses in its formats.
struct FormatCost {
  int64_t weights = 0;             // of the whole model
  int64_t bytes = 0;               // of the whole model; what is as stored counts as stored
  int64_t projection_weights = 0;  // of the projections
  int64_t projection_bytes = 0;
  double projection_error = 0;  // relative RMS over all projections
  double head_error = 0;        // 0 as stored
  double embedding_error = 0;

  double BitsPerWeight() const;            // of the whole model
  double ProjectionBitsPerWeight() const;  // of the projections
};

// Replaces the values of `model` by the decoded ones; its storage becomes F32, which holds them
// exactly. Experts of a mixture are matrices of their own. Errors name the tensor and what the
// format cannot hold; the model is then partly changed. With a rotation the errors are those of
// the rotated weights, as stored is F32, and hidden sizes that are no power of two are errors.
absl::StatusOr<FormatCost> DecodeAs(const ModelFormats& formats, Model& model);

}  // namespace crosscheck

#endif  // CROSSCHECK_REFERENCE_QUANTISATION_DECODED_MODEL_H_
