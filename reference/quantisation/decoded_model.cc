#include "reference/quantisation/decoded_model.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "reference/quantisation/quarot.h"

namespace crosscheck {
namespace {

constexpr std::string_view kStored = "stored";

absl::StatusOr<const TensorFormat*> ParseFormat(std::string_view name) {
  if (name == kStored) return nullptr;
  if (const TensorFormat* format = FindTensorFormat(name); format != nullptr) return format;
  std::string names(kStored);
  for (const TensorFormat& format : TensorFormats()) {
    absl::StrAppend(&names, ", ", std::string(format.name));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no weight format \"", std::string(name), "\"; there are: ", names));
}

absl::Status ParseOption(const std::string& option, ModelFormats& formats) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(option, absl::MaxSplits('=', 1));
  const auto& [key, value] = parts;
  if (key == "quarot") {
    uint64_t seed = 0;
    if (!absl::SimpleAtoi(value, &seed)) {
      return absl::InvalidArgumentError(
          absl::StrCat("quarot=", value, ": expected a seed, 0 to 2^64 - 1"));
    }
    formats.quarot_seed = seed;
    return absl::OkStatus();
  }
  if (key != "head" && key != "embedding") {
    return absl::InvalidArgumentError(absl::StrCat("weight format option \"", option,
                                                   "\"; expected head=, embedding= or quarot="));
  }
  const auto format = ParseFormat(value);
  if (!format.ok()) return format.status();
  (key == "head" ? formats.head : formats.embedding) = *format;
  return absl::OkStatus();
}

std::string NameOf(const TensorFormat* format) {
  return std::string(format == nullptr ? kStored : format->name);
}

// The matrices of a tensor one after the other: the experts of a mixture are matrices of their own.
absl::Status DecodeTensor(const TensorFormat& format, const TensorInfo& info,
                          std::vector<float>& values, int64_t& bytes, RelativeError& error) {
  const auto columns = static_cast<size_t>(info.shape.back());
  const size_t matrices = info.shape.size() < 3 ? 1 : static_cast<size_t>(info.shape.front());
  const size_t size = values.size() / matrices;
  for (size_t m = 0; m < matrices; ++m) {
    const absl::Span<float> matrix = absl::MakeSpan(values).subspan(m * size, size);
    const auto decoded = format.decode({matrix, size / columns, columns});
    if (!decoded.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(info.name, " as ", std::string(format.name),
                                                     ": ",
                                                     std::string(decoded.status().message())));
    }
    error.Add(matrix, decoded->values);
    bytes += decoded->bytes;
    std::copy(decoded->values.begin(), decoded->values.end(), matrix.begin());
  }
  return absl::OkStatus();
}

const TensorFormat* FormatOf(const ModelFormats& formats, TensorRole role) {
  if (role == TensorRole::kProjection) return formats.projections;
  if (role == TensorRole::kHead) return formats.head;
  return role == TensorRole::kEmbedding ? formats.embedding : nullptr;
}

}  // namespace

double FormatCost::BitsPerWeight() const {
  return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

double FormatCost::ProjectionBitsPerWeight() const {
  return projection_weights == 0 ? 0
                                 : 8.0 * static_cast<double>(projection_bytes) /
                                       static_cast<double>(projection_weights);
}

absl::StatusOr<ModelFormats> ParseModelFormats(std::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ':');
  const auto projections = ParseFormat(parts.front());
  if (!projections.ok()) return projections.status();
  ModelFormats formats;
  formats.projections = *projections;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (absl::Status status = ParseOption(parts[i], formats); !status.ok()) return status;
  }
  return formats;
}

std::string ModelFormatsName(const ModelFormats& formats) {
  std::string name = NameOf(formats.projections);
  if (formats.head != nullptr) absl::StrAppend(&name, ":head=", NameOf(formats.head));
  if (formats.embedding != nullptr) {
    absl::StrAppend(&name, ":embedding=", NameOf(formats.embedding));
  }
  if (formats.quarot_seed.has_value()) absl::StrAppend(&name, ":quarot=", *formats.quarot_seed);
  return name;
}

absl::StatusOr<FormatCost> DecodeAs(const ModelFormats& formats, Model& model) {
  if (formats.quarot_seed.has_value()) {
    if (absl::Status status = FuseQuarot(*formats.quarot_seed, model); !status.ok()) return status;
  }
  if (formats.head != formats.embedding) Untie(model);
  FormatCost cost;
  RelativeError projections;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    const auto count = static_cast<int64_t>(model.values[i].size());
    int64_t bytes = count * SizeOf(StorageOf(info.role, model.storage));
    const bool projection = info.role == TensorRole::kProjection;
    RelativeError error;
    if (const TensorFormat* format = FormatOf(formats, info.role); format != nullptr) {
      bytes = 0;
      absl::Status status =
          DecodeTensor(*format, info, model.values[i], bytes, projection ? projections : error);
      if (!status.ok()) return status;
    }
    cost.weights += count;
    cost.bytes += bytes;
    cost.projection_weights += projection ? count : 0;
    cost.projection_bytes += projection ? bytes : 0;
    if (info.role == TensorRole::kHead) cost.head_error = error.Value();
    if (info.role == TensorRole::kEmbedding) cost.embedding_error = error.Value();
  }
  cost.projection_error = projections.Value();
  model.storage = DType::kF32;
  return cost;
}

}  // namespace crosscheck
