#include "properties/judges/identical.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace crosscheck {
namespace {

int64_t Rows(const Tensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape[0]; }

std::string Describe(const Tensor& tensor) {
  return absl::StrFormat("%s [%s]", std::string(kDTypeNames[static_cast<int>(tensor.dtype)]),
                         absl::StrJoin(tensor.shape, ", "));
}

double ValueAt(const Tensor& tensor, int64_t element) {
  const auto at = static_cast<size_t>(element);
  if (tensor.dtype == DType::kF64) return tensor.As<double>()[at];
  if (tensor.dtype == DType::kF32) return tensor.As<float>()[at];
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::string FirstDifference(const Tensor& a, const Tensor& b, int64_t begin, int64_t end) {
  const int64_t rows = std::clamp<int64_t>(std::max(Rows(a), Rows(b)), 0, end);
  const bool same_rows = a.shape.size() == b.shape.size() && rows <= Rows(a) && rows <= Rows(b);
  if (a.dtype != b.dtype || !same_rows ||
      !std::equal(a.shape.begin() + (a.shape.empty() ? 0 : 1), a.shape.end(),
                  b.shape.begin() + (b.shape.empty() ? 0 : 1))) {
    return absl::StrFormat("%s and %s", Describe(a), Describe(b));
  }
  if (rows <= begin) return "";
  const int64_t width = a.ElementCount() / Rows(a), size = SizeOf(a.dtype);
  for (int64_t at = begin * width; at < rows * width; ++at) {
    const auto from = static_cast<size_t>(at * size), count = static_cast<size_t>(size);
    if (std::string_view(a.bytes).substr(from, count) ==
        std::string_view(b.bytes).substr(from, count)) {
      continue;
    }
    return absl::StrFormat("row %d, element %d: %.9g and %.9g", at / width, at % width,
                           ValueAt(a, at), ValueAt(b, at));
  }
  return "";
}

std::string FirstDifference(const Tensor& a, const Tensor& b) {
  return FirstDifference(a, b, 0, std::numeric_limits<int64_t>::max());
}

}  // namespace crosscheck
