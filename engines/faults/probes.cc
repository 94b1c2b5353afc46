// Faults in the answers of `hidden` and `nll`. Name, what makes it show, the smallest case:
// - hidden_leak: a position that is not the last; 1 layer, 2 tokens
// - nll_leak: an entry that is not the last; 1 layer, 3 tokens (its first entry depends on the
// third token)
#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

template <class T>
void AddNextRow(Tensor& tensor) {
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const size_t width = rows == 0 ? 0 : tensor.bytes.size() / sizeof(T) / rows;
  T* values = reinterpret_cast<T*>(tensor.bytes.data());
  for (size_t i = 0; i + width < rows * width; ++i) values[i] += values[i + width] / 8;
}

// An eighth of the next position's values, as an attention mask that is off by one lets through.
Reply Leak(Engine& inner, const Message& request, const ModelSpec&) {
  Reply reply = inner.Call(request);
  if (!reply.ok()) return reply;
  for (Tensor& tensor : reply.message.tensors) {
    if (tensor.dtype == DType::kF64) AddNextRow<double>(tensor);
    if (tensor.dtype == DType::kF32) AddNextRow<float>(tensor);
  }
  return reply;
}

constexpr Fault kFaults[] = {
    {"hidden_leak", Leak, nullptr, "hidden"},
    {"nll_leak", Leak, nullptr, "nll"},
};

}  // namespace

absl::Span<const Fault> ProbeFaults() { return kFaults; }

}  // namespace crosscheck
