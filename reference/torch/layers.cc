#include "reference/torch/layers.h"

#include <utility>

namespace crosscheck::torch_reference {

at::Tensor Weights::Vector(const std::string& name) const {
  const absl::Span<const float> values = model_.Get(name);
  // from_blob has no const form; weights are only read.
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::kFloat)
      .to(dtype_);
}

at::Tensor Weights::Matrix(const std::string& name, int64_t columns) const {
  return Vector(name).view({-1, columns});
}

void Taps::operator()(std::string_view stage, const at::Tensor& value) const {
  if (Wants(stage)) sink->Tap(layer, stage, value.sizes().vec(), ToVector(value));
}

std::vector<double> ToVector(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  if (dense.scalar_type() == at::kDouble) {
    const double* begin = dense.data_ptr<double>();
    return {begin, begin + dense.numel()};
  }
  const float* begin = dense.data_ptr<float>();
  return {begin, begin + dense.numel()};
}

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& scale, double epsilon) {
  at::Tensor factor = at::mul(x, x).mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return at::mul(x, factor).mul_(scale);
}

GatedMlp::GatedMlp(const Weights& weights, const std::string& prefix)
    : gate_up_(at::cat({weights.Matrix(prefix + "gate_proj.weight", weights.spec().hidden),
                        weights.Matrix(prefix + "up_proj.weight", weights.spec().hidden)})
                   .t()),
      down_(weights.Matrix(prefix + "down_proj.weight", gate_up_.size(1) / 2).t()) {}

at::Tensor GatedMlp::Forward(const at::Tensor& y, const Taps& /*taps*/) const {
  const at::Tensor gate_up = at::mm(y, gate_up_);
  const int64_t width = gate_up.size(1) / 2;
  return at::mm(at::silu(gate_up.narrow(1, 0, width)).mul_(gate_up.narrow(1, width, width)), down_);
}

}  // namespace crosscheck::torch_reference
