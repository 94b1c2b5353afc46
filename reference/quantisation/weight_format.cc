#include "reference/quantisation/weight_format.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reference/quantisation/f16.h"
#include "reference/quantisation/int8_rows.h"
#include "reference/quantisation/q8_0.h"

namespace crosscheck {
namespace {

bool Holds(WeightFormat format, TensorRole role) {
  switch (format) {
    case WeightFormat::kF32:
      return false;
    case WeightFormat::kF16:
      return role == TensorRole::kProjection || role == TensorRole::kHead ||
             role == TensorRole::kEmbedding;
    case WeightFormat::kInt8:
      return role == TensorRole::kProjection;
    case WeightFormat::kQ80:
      return role == TensorRole::kProjection || role == TensorRole::kHead;
  }
  return false;
}

absl::StatusOr<std::vector<float>> Decoded(WeightFormat format, absl::Span<const float> values,
                                           size_t columns) {
  switch (format) {
    case WeightFormat::kF32:
      break;
    case WeightFormat::kF16:
      return DecodeFromF16(values);
    case WeightFormat::kInt8:
      return Decode(EncodeInt8Rows(values, values.size() / columns, columns));
    case WeightFormat::kQ80: {
      auto bytes = EncodeQ80(values, columns);
      if (!bytes.ok()) return bytes.status();
      return DecodeQ80(*bytes);
    }
  }
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace

absl::Status ServeAs(WeightFormat format, Model& model) {
  model.format = format;
  // The head of a tied model is a matrix of its own where its format is not that of the embedding.
  if (format == WeightFormat::kQ80) {
    model.activations = Activations::kInt8;
    if (model.spec.tied) {
      auto head =
          Decoded(format, model.Get("embed_tokens.weight"), static_cast<size_t>(model.spec.hidden));
      if (!head.ok()) return head.status();
      model.head = *std::move(head);
    }
  }
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    if (!Holds(format, info.role)) continue;
    auto decoded = Decoded(format, model.values[i], static_cast<size_t>(info.shape.back()));
    if (!decoded.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(info.name, ": ", decoded.status().message()));
    }
    model.values[i] = *std::move(decoded);
  }
  return absl::OkStatus();
}

std::optional<WeightFormat> FindWeightFormat(std::string_view name) {
  for (size_t i = 0; i < std::size(kWeightFormatNames); ++i) {
    if (kWeightFormatNames[i] == name) return static_cast<WeightFormat>(i);
  }
  return std::nullopt;
}

}  // namespace crosscheck
