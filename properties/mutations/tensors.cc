// Changes of tensors that leave a valid safetensors file.
#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_replace.h"
#include "properties/mutations/container.h"

namespace crosscheck {
namespace {

constexpr char kPrefix[] = "model.language_model.";

// Rows (of the first axis) become `rows`; new ones are zero.
void SetRows(Tensor& tensor, int64_t rows) {
  if (tensor.shape.empty() || tensor.shape[0] == 0 || rows < 0) return;
  const size_t row = tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]);
  tensor.shape[0] = rows;
  tensor.bytes.resize(row * static_cast<size_t>(rows));
}

void MutateShape(std::string_view way, Tensor& tensor) {
  if (way == "one_row_more" && !tensor.shape.empty()) SetRows(tensor, tensor.shape[0] + 1);
  if (way == "one_row_less" && !tensor.shape.empty()) SetRows(tensor, tensor.shape[0] - 1);
  if (way == "no_elements") SetRows(tensor, 0);
  if (way == "transposed") std::reverse(tensor.shape.begin(), tensor.shape.end());
  if (way == "flat") tensor.shape = {tensor.ElementCount()};
  if (way == "unit_axis") tensor.shape.insert(tensor.shape.begin(), 1);
  if (way == "renamed") tensor.name += "_";
  if (way == "other_layer") {
    tensor.name = absl::StrReplaceAll(tensor.name, {{".layers.0.", ".layers.00."}});
  }
}

template <class T, T (*Encode)(float)>
std::string Encoded(const std::vector<double>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = Encode(static_cast<float>(values[i]));
    std::copy_n(reinterpret_cast<const char*>(&value), sizeof(T), bytes.data() + i * sizeof(T));
  }
  return bytes;
}
float Same(float value) { return value; }
double Wide(float value) { return value; }
int64_t Rounded(float value) {
  return value > -1e9f && value < 1e9f ? static_cast<int64_t>(value) : 0;
}

// To a dtype by value, or by name alone ("as_…"): then the last axis takes up the difference in
// size.
void MutateDType(std::string_view way, Tensor& tensor) {
  if (way.substr(0, 3) == "as_") {
    const auto* name = std::find(std::begin(kDTypeNames), std::end(kDTypeNames), way.substr(3));
    if (name == std::end(kDTypeNames) || tensor.shape.empty()) return;
    const auto dtype = static_cast<DType>(name - std::begin(kDTypeNames));
    const int64_t bytes = tensor.shape.back() * SizeOf(tensor.dtype);
    if (bytes % SizeOf(dtype) != 0) return;
    tensor.shape.back() = bytes / SizeOf(dtype);
    tensor.dtype = dtype;
    return;
  }
  const auto values = tensor.ToDoubles();
  if (!values.ok()) return;
  const auto set = [&](DType dtype, std::string bytes) {
    tensor.dtype = dtype;
    tensor.bytes = std::move(bytes);
  };
  if (way == "F32") set(DType::kF32, Encoded<float, Same>(*values));
  if (way == "F64") set(DType::kF64, Encoded<double, Wide>(*values));
  if (way == "BF16") set(DType::kBF16, Encoded<uint16_t, EncodeBF16>(*values));
  if (way == "F16") set(DType::kF16, Encoded<uint16_t, EncodeF16>(*values));
  if (way == "I64") set(DType::kI64, Encoded<int64_t, Rounded>(*values));
}

// Of the first element.
void MutateElement(std::string_view way, Tensor& tensor) {
  float value = std::numeric_limits<float>::quiet_NaN();
  if (way == "infinity") value = std::numeric_limits<float>::infinity();
  if (way == "minus_infinity") value = -std::numeric_limits<float>::infinity();
  if (way == "largest") value = tensor.dtype == DType::kF16 ? 65504.0f : 3.3895314e38f;
  if (way == "subnormal") value = tensor.dtype == DType::kF16 ? 5.9604645e-8f : 9.183549e-41f;
  if (way == "minus_zero") value = -0.0f;
  const auto put = [&tensor](auto bits) {
    if (tensor.bytes.size() < sizeof(bits)) return;
    std::copy_n(reinterpret_cast<const char*>(&bits), sizeof(bits), tensor.bytes.data());
  };
  if (tensor.dtype == DType::kF32) put(value);
  if (tensor.dtype == DType::kBF16) put(EncodeBF16(value));
  if (tensor.dtype == DType::kF16) put(EncodeF16(value));
  if (tensor.dtype == DType::kF64) put(double{value});
}

void AddExtra(std::string_view way, std::vector<Tensor>& tensors) {
  const float values[] = {1, -2, 3};
  Tensor extra = MakeTensor("crosscheck.unknown", {3}, absl::MakeConstSpan(values));
  if (way == "mtp") extra.name = "mtp.fc.weight";
  if (way == "visual") extra.name = "model.visual.patch_embed.proj.weight";
  if (way == "no_prefix") extra.name = "layers.0.mlp.up_proj.weight";
  if (way == "next_layer") extra.name = "model.language_model.layers.99.mlp.up_proj.weight";
  if (way == "head_of_a_tied_model") extra.name = "lm_head.weight";
  if (way == "I64") {
    extra.dtype = DType::kI64;
    extra.bytes.resize(24);
  }
  if (way == "BOOL" || way == "F8_E4M3") {  // MutateHeader gives the name
    extra.dtype = DType::kU8;
    extra.bytes.resize(3);
  }
  const bool taken = std::any_of(tensors.begin(), tensors.end(),
                                 [&](const Tensor& t) { return t.name == extra.name; });
  if (!taken) tensors.push_back(std::move(extra));
}

void Rename(std::string_view to, std::vector<Tensor>& tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.name.rfind(kPrefix, 0) == 0) {
      tensor.name = std::string(to) + tensor.name.substr(std::size(kPrefix) - 1);
    }
  }
}

}  // namespace

void MutateTensors(const Mutation& mutation, std::vector<Tensor>& tensors) {
  const std::string_view way = mutation.Way();
  if (mutation.kind == MutationKind::kExtraTensor) return AddExtra(way, tensors);
  if (mutation.kind == MutationKind::kOrder) {
    if (way == "data_reversed") std::reverse(tensors.begin(), tensors.end());
    if (way == "flat_prefix") Rename("model.", tensors);
    if (way == "no_prefix") Rename("", tensors);
    return;
  }
  if (tensors.empty()) return;
  const size_t target = static_cast<size_t>(mutation.target) % tensors.size();
  if (mutation.Is(MutationKind::kTensor, "missing")) {
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(target));
  } else if (mutation.kind == MutationKind::kTensor) {
    MutateShape(way, tensors[target]);
  } else if (mutation.kind == MutationKind::kTensorDType) {
    MutateDType(way, tensors[target]);
  } else if (mutation.kind == MutationKind::kTensorValue) {
    MutateElement(way, tensors[target]);
  }
}

}  // namespace crosscheck
