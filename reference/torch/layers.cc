#include "reference/torch/layers.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace crosscheck::torch_reference {

at::Tensor Weights::Vector(const std::string& name) const {
  const bool shared = model_.spec.tied && model_.head.empty();
  if (shared && name == "lm_head.weight" && embedding_.defined()) return embedding_;
  const absl::Span<const float> values = model_.Get(name);
  at::Tensor result;
  if (source_ != nullptr) {
    const auto owner =
        std::find_if(source_->values.begin(), source_->values.end(),
                     [&](const std::vector<float>& v) { return v.data() == values.data(); });
    result = Take(*owner);
  } else {
    // from_blob has no const form; weights are only read.
    result = at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(values.size())},
                           at::kFloat)
                 .to(dtype_);
  }
  if (name == "embed_tokens.weight") embedding_ = result;
  return result;
}

at::Tensor Weights::Take(std::vector<float>& values) const {
  auto kept = std::make_shared<std::vector<float>>(std::move(values));
  values = {};
  at::Tensor own = at::from_blob(
      kept->data(), {static_cast<int64_t>(kept->size())}, [kept](void*) {}, at::kFloat);
  kept.reset();
  return own.to(dtype_);
}

at::Tensor Weights::Matrix(const std::string& name, int64_t columns) const {
  return Vector(name).view({-1, columns});
}

AdaptedMatrix Weights::Projection(const std::string& name, int64_t columns) const {
  AdaptedMatrix matrix{.weight = Matrix(name, columns), .down = {}, .up = {}};
  const LowRankUpdate* update = model_.GetProjection(name).update;
  if (update == nullptr) return matrix;
  const auto factor = [this](const std::vector<float>& values, int64_t rows, int64_t width) {
    return at::from_blob(const_cast<float*>(values.data()), {rows, width}, at::kFloat).to(dtype_);
  };
  matrix.down = factor(update->a, update->rank, update->in);
  matrix.up = factor(update->b, update->out, update->rank);
  matrix.scale = update->scale();
  return matrix;
}

AdaptedMatrix Concatenate(const std::vector<AdaptedMatrix>& parts) {
  AdaptedMatrix whole;
  std::vector<at::Tensor> weights, downs;
  int64_t ranks = 0;
  for (const AdaptedMatrix& part : parts) {
    weights.push_back(part.weight);
    if (!part.down.defined()) continue;
    downs.push_back(part.down);
    ranks += part.down.size(0);
    whole.scale = part.scale;  // one adapter has one scale
  }
  whole.weight = at::cat(weights);
  if (downs.empty()) return whole;
  whole.down = at::cat(downs);
  whole.up = at::zeros({whole.weight.size(0), ranks}, whole.weight.options());
  int64_t row = 0, column = 0;
  for (const AdaptedMatrix& part : parts) {
    const int64_t rows = part.weight.size(0);
    if (part.up.defined()) {
      whole.up.narrow(0, row, rows).narrow(1, column, part.up.size(1)).copy_(part.up);
      column += part.up.size(1);
    }
    row += rows;
  }
  return whole;
}

AdaptedMatrix SelectRows(const AdaptedMatrix& matrix, const at::Tensor& rows) {
  AdaptedMatrix selected = matrix;
  selected.weight = at::index_select(matrix.weight, 0, rows);
  if (matrix.up.defined()) selected.up = at::index_select(matrix.up, 0, rows);
  return selected;
}

Linear::Linear(const Weights& weights, const AdaptedMatrix& matrix)
    : activations_(weights.activations()),
      transposed_(matrix.weight.t()),
      down_(matrix.down.defined() ? matrix.down.t() : matrix.down),
      up_(matrix.up.defined() ? matrix.up.t() : matrix.up),
      scale_(matrix.scale) {}

at::Tensor Linear::Forward(const at::Tensor& x) const {
  if (activations_ == Activations::kFloat) {
    at::Tensor y = at::mm(x, transposed_);
    if (down_.defined()) y.add_(at::mm(at::mm(x, down_), up_), scale_);
    return y;
  }
  const at::Tensor scale = x.abs().amax(1, /*keepdim=*/true).div_(127);
  // A row of zeros has scale 0; any other divisor gives it codes of 0. Halves away from zero:
  // at::round takes them to the even code.
  const at::Tensor quotient = at::div(x, scale.masked_fill(at::eq(scale, 0), 1));
  const at::Tensor codes = quotient.abs().add_(0.5).floor_().mul_(quotient.sign());
  return at::mm(codes, transposed_).mul_(scale);
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
    : gate_up_(weights,
               Concatenate({weights.Projection(prefix + "gate_proj.weight", weights.spec().hidden),
                            weights.Projection(prefix + "up_proj.weight", weights.spec().hidden)})),
      down_(weights, weights.Projection(prefix + "down_proj.weight", gate_up_.out() / 2)) {}

at::Tensor GatedMlp::Forward(const at::Tensor& y, const Taps& taps) const {
  const at::Tensor gate_up = gate_up_.Forward(y);
  const int64_t width = gate_up.size(1) / 2;
  const at::Tensor gate = gate_up.narrow(1, 0, width), up = gate_up.narrow(1, width, width);
  taps("mlp.gate", gate);
  taps("mlp.up", up);
  const at::Tensor activated = at::silu(gate).mul_(up);
  taps("mlp.activated", activated);
  return down_.Forward(activated);
}

}  // namespace crosscheck::torch_reference
