#include "reference/torch/plain_attention.h"

namespace crosscheck::torch_reference {

PlainAttention::PlainAttention(const Weights& weights, const std::string& prefix)
    : heads_(weights.spec().heads),
      kv_heads_(weights.spec().kv_heads),
      head_dim_(weights.spec().head_dim),
      rotary_(weights.spec(), weights.dtype()),
      in_proj_(at::cat({weights.Matrix(prefix + "q_proj.weight", weights.spec().hidden),
                        weights.Matrix(prefix + "k_proj.weight", weights.spec().hidden),
                        weights.Matrix(prefix + "v_proj.weight", weights.spec().hidden)})
                   .t()),
      out_proj_(weights.Matrix(prefix + "o_proj.weight", heads_ * head_dim_).t()) {}

LayerState PlainAttention::EmptyState() const {
  const at::Tensor empty = at::zeros({kv_heads_, 0, head_dim_}, out_proj_.options());
  LayerState state;
  state.key = empty;
  state.value = empty;
  return state;
}

at::Tensor PlainAttention::Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                                   LayerState& state) const {
  const int64_t qk_heads = heads_ + kv_heads_;
  const at::Tensor projected =
      at::mm(y, in_proj_).view({step.count, qk_heads + kv_heads_, head_dim_});
  const at::Tensor value = projected.narrow(1, qk_heads, kv_heads_).transpose(0, 1);
  if (taps.Wants("attn.q_proj_out")) {
    taps("attn.q_proj_out", projected.narrow(1, 0, heads_).reshape({step.count, -1}));
  }
  const at::Tensor roped =
      rotary_.Apply(projected.narrow(1, 0, qk_heads), rotary_.At(step.positions));
  const at::Tensor query = roped.narrow(1, 0, heads_);
  const at::Tensor key = roped.narrow(1, heads_, kv_heads_).transpose(0, 1);
  taps("attn.q_roped", query.transpose(0, 1));
  taps("attn.k_roped", key);
  taps("attn.v", value);
  state.key = at::cat({state.key, key}, 1);
  state.value = at::cat({state.value, value}, 1);
  const at::Tensor context = Attend(query, state, step, taps);
  taps("attn.context", context);
  return at::mm(context.reshape({step.count, -1}), out_proj_);
}

}  // namespace crosscheck::torch_reference
