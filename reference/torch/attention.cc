#include "reference/torch/attention.h"

#include <cmath>
#include <vector>

namespace crosscheck::torch_reference {

RotaryEmbedding::RotaryEmbedding(const ModelSpec& spec, at::ScalarType dtype) {
  const int64_t half = spec.rotary_dim / 2;
  const int64_t dim = spec.head_dim;
  const auto options = at::TensorOptions(dtype);
  const at::Tensor exponent = at::arange(0, spec.rotary_dim, 2, options).div_(spec.rotary_dim);
  const at::Tensor frequency = at::pow(spec.rope_theta, exponent).reciprocal_();
  inverse_frequency_ = at::cat({frequency, frequency, at::zeros({dim - spec.rotary_dim}, options)});
  sign_ = at::ones({dim}, options);
  sign_.narrow(0, 0, half).neg_();
  const at::Tensor index = at::arange(dim, at::kLong);
  partner_ = at::cat({index.narrow(0, half, half), index.narrow(0, 0, half),
                      index.narrow(0, 2 * half, dim - 2 * half)});
}

Rotation RotaryEmbedding::At(const at::Tensor& positions) const {
  const at::Tensor angles = at::mul(positions.view({-1, 1, 1}), inverse_frequency_);
  return {.cos = angles.cos(), .sin = angles.sin().mul_(sign_)};
}

at::Tensor RotaryEmbedding::Apply(const at::Tensor& x, const Rotation& rotation) const {
  return at::mul(x, rotation.cos).addcmul_(at::index_select(x, -1, partner_), rotation.sin);
}

namespace {

// softmax(q·kᵀ / √D + mask)·v: query [S, H, D] and the cache of a layer -> context [S, H, D]. The G
// query heads of a kv head form one matrix: no repetition of k and v.
at::Tensor Attend(const at::Tensor& query, const LayerState& state, const Step& step,
                  const Taps& taps) {
  const int64_t heads = query.size(1);
  const int64_t head_dim = query.size(2);
  const int64_t kv_heads = state.key.size(0);
  const int64_t rows = heads / kv_heads * step.count;
  const int64_t total = step.past + step.count;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  at::Tensor scores =
      at::bmm(query.transpose(0, 1).reshape({kv_heads, rows, head_dim}), state.key.transpose(1, 2))
          .view({heads, step.count, total});
  scores = step.attention_mask.defined() ? at::add(step.attention_mask, scores, scale)
                                         : scores.mul_(scale);
  const at::Tensor probabilities = at::_softmax(scores, -1, /*half_to_float=*/false);
  taps("attn.probs", probabilities);
  return at::bmm(probabilities.view({kv_heads, rows, total}), state.value)
      .view({heads, step.count, head_dim})
      .transpose(0, 1);
}

// q and k lie side by side, so that they are normalised and rotated at once. Rows of a gated q_proj
// are [q_h | gate_h] per head and are regrouped.
AdaptedMatrix InProjection(const Weights& weights, const std::string& prefix, bool gated) {
  const ModelSpec& spec = weights.spec();
  const AdaptedMatrix query = weights.Projection(prefix + "q_proj.weight", spec.hidden);
  const AdaptedMatrix key = weights.Projection(prefix + "k_proj.weight", spec.hidden);
  const AdaptedMatrix value = weights.Projection(prefix + "v_proj.weight", spec.hidden);
  if (!gated) return Concatenate({query, key, value});
  const at::Tensor rows =
      at::arange(2 * spec.heads * spec.head_dim, at::kLong).view({spec.heads, 2, spec.head_dim});
  return Concatenate({SelectRows(query, rows.select(1, 0).reshape({-1})), key, value,
                      SelectRows(query, rows.select(1, 1).reshape({-1}))});
}

}  // namespace

Attention::Attention(const Weights& weights, const std::string& prefix, bool gated)
    : gated_(gated),
      heads_(weights.spec().heads),
      kv_heads_(weights.spec().kv_heads),
      head_dim_(weights.spec().head_dim),
      epsilon_(weights.spec().rms_eps),
      rotary_(weights.spec(), weights.dtype()),
      in_proj_(weights, InProjection(weights, prefix, gated)),
      out_proj_(weights, weights.Projection(prefix + "o_proj.weight", heads_ * head_dim_)) {
  if (!gated) return;
  qk_norm_ = at::cat({weights.Vector(prefix + "q_norm.weight").expand({heads_, head_dim_}),
                      weights.Vector(prefix + "k_norm.weight").expand({kv_heads_, head_dim_})})
                 .add_(1);
}

LayerState Attention::EmptyState() const {
  const at::Tensor empty = at::zeros({kv_heads_, 0, head_dim_}, out_proj_.options());
  LayerState state;
  state.key = empty;
  state.value = empty;
  return state;
}

at::Tensor Attention::Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                              LayerState& state) const {
  const int64_t qk_heads = heads_ + kv_heads_;
  const at::Tensor projected = in_proj_.Forward(y).view({step.count, -1, head_dim_});
  at::Tensor query_key = projected.narrow(1, 0, qk_heads);
  const at::Tensor value = projected.narrow(1, qk_heads, kv_heads_).transpose(0, 1);
  at::Tensor gate;
  if (gated_) gate = projected.narrow(1, qk_heads + kv_heads_, heads_);
  if (taps.Wants("attn.q_proj_out")) {
    const at::Tensor query = query_key.narrow(1, 0, heads_);
    taps("attn.q_proj_out",
         (gated_ ? at::stack({query, gate}, 2) : query).reshape({step.count, -1}));
  }
  if (taps.Wants("attn.k_proj_out")) {
    taps("attn.k_proj_out", query_key.narrow(1, heads_, kv_heads_).reshape({step.count, -1}));
  }
  taps("attn.v", value);
  if (gated_) {
    query_key = RmsNorm(query_key, qk_norm_, epsilon_);
    taps("attn.q_normed", query_key.narrow(1, 0, heads_));
    taps("attn.k_normed", query_key.narrow(1, heads_, kv_heads_));
  }
  const at::Tensor roped = rotary_.Apply(query_key, rotary_.At(step.positions));
  const at::Tensor query = roped.narrow(1, 0, heads_);
  const at::Tensor key = roped.narrow(1, heads_, kv_heads_).transpose(0, 1);
  taps("attn.q_roped", query.transpose(0, 1));
  taps("attn.k_roped", key);

  state.key = at::cat({state.key, key}, 1);
  state.value = at::cat({state.value, value}, 1);
  at::Tensor context = Attend(query, state, step, taps);
  taps("attn.context", context);
  if (gated_) context = at::mul(gate.sigmoid(), context);
  context = context.reshape({step.count, -1});
  if (gated_) taps("attn.gated", context);
  return out_proj_.Forward(context);
}

}  // namespace crosscheck::torch_reference
