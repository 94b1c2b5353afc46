// What the blocks of every family share: weights as tensors, taps, the context of one step, RMSNorm
// and the gated MLP.
//
// All tensors have the dtype of the model's precision, fp32 or fp64. Activations are [S, d]: one
// sequence, no batch.
#ifndef CROSSCHECK_REFERENCE_TORCH_LAYERS_H_
#define CROSSCHECK_REFERENCE_TORCH_LAYERS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reference/reference_model.h"
#include "reference/torch/torch_headers.h"

namespace crosscheck::torch_reference {

// weight [out, in] + scale * up [out, r] · down [r, in], the product kept apart. Without an adapter
// `down` and `up` are undefined.
struct AdaptedMatrix {
  at::Tensor weight, down, up;
  double scale = 0;
};
// Rows one below the other.
AdaptedMatrix Concatenate(const std::vector<AdaptedMatrix>& parts);
// The rows of these indices, in their order.
AdaptedMatrix SelectRows(const AdaptedMatrix& matrix, const at::Tensor& rows);

// Weights by checkpoint name without the prefix. fp32 tensors borrow the memory of the Model, which
// must outlive them; where a `source` is given, the same model, they own what they took from it.
class Weights {
 public:
  Weights(const Model& model, at::ScalarType dtype, Model* source = nullptr)
      : model_(model), source_(source), dtype_(dtype) {}
  const ModelSpec& spec() const { return model_.spec; }
  at::ScalarType dtype() const { return dtype_; }
  Activations activations() const { return model_.activations; }
  at::Tensor Vector(const std::string& name) const;                   // [n]
  at::Tensor Matrix(const std::string& name, int64_t columns) const;  // [n / columns, columns]
  // A matrix that activations are multiplied with, and the adapter's change of it.
  AdaptedMatrix Projection(const std::string& name, int64_t columns) const;

 private:
  at::Tensor Take(std::vector<float>& values) const;

  const Model& model_;
  Model* source_;
  at::ScalarType dtype_;
  mutable at::Tensor embedding_;  // [V * d], which a tied head shares
};

// y = x · Wᵀ for rows x [S, in], plus the low-rank product of an adapter; with 8-bit inputs where
// the model says so.
class Linear {
 public:
  // The activations are those of `weights`.
  Linear(const Weights& weights, const AdaptedMatrix& matrix);
  at::Tensor Forward(const at::Tensor& x) const;  // [S, in] -> [S, out]
  int64_t out() const { return transposed_.size(1); }
  at::TensorOptions options() const { return transposed_.options(); }

 private:
  Activations activations_;
  at::Tensor transposed_;  // [in, out]
  at::Tensor down_, up_;   // [in, r] and [r, out], or undefined
  double scale_;
};

// The intermediate values of one layer, for whoever asked for them.
struct Taps {
  TapSink* sink;
  int layer;
  bool Wants(std::string_view stage) const { return sink != nullptr && sink->Wants(layer, stage); }
  void operator()(std::string_view stage, const at::Tensor& value) const;
};

// Row-major values of any floating tensor, exactly.
std::vector<double> ToVector(const at::Tensor& tensor);

// What one Extend call knows about its S new positions, T = past + S.
struct Step {
  int64_t past;
  int64_t count;              // S
  at::Tensor positions;       // [S]: rotary position of each row
  at::Tensor row_mask;        // [S, 1], 0 = padding; undefined: all rows are real
  at::Tensor attention_mask;  // [S, T], added to the scores; undefined: every key is visible
  TapSink* taps;
};

// Cache of one layer. Tensors are replaced and never written to, so a copy of the handles is a
// snapshot. Linear attention uses the first two, full attention the others; the rest is undefined.
struct LayerState {
  at::Tensor conv;       // [K, C]: the last K rows of in_proj_qkv, before conv and SiLU
  at::Tensor recurrent;  // [Hv, Dk, Dv]
  at::Tensor key;        // [Hkv, T, D], after norm and RoPE
  at::Tensor value;      // [Hkv, T, D]
};

// x · rsqrt(mean(x²) + epsilon) ⊙ scale over the last dimension; scale is 1 + w or w
// (architectures.md 3.3, 3.7).
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& scale, double epsilon);

// (silu(y·Wgᵀ) ⊙ (y·Wuᵀ))·Wdᵀ of architectures.md 3.4.
class GatedMlp {
 public:
  GatedMlp(const Weights& weights, const std::string& prefix);
  at::Tensor Forward(const at::Tensor& y, const Taps& taps) const;  // [S, d] -> [S, d]

 private:
  Linear gate_up_;  // d -> 2I
  Linear down_;     // I -> d
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_LAYERS_H_
