#include "reference/torch/gated_delta_net.h"

#include <cmath>

namespace crosscheck::torch_reference {
namespace {

constexpr double kL2Epsilon = 1e-6;

}  // namespace

GatedDeltaNet::GatedDeltaNet(const Weights& weights, const std::string& prefix)
    : key_heads_(weights.spec().linear_key_heads),
      value_heads_(weights.spec().linear_value_heads),
      key_dim_(weights.spec().linear_key_dim),
      value_dim_(weights.spec().linear_value_dim),
      channels_(weights.spec().conv_channels()),
      kernel_(weights.spec().conv_kernel),
      epsilon_(weights.spec().rms_eps),
      in_proj_(
          weights,
          Concatenate({weights.Projection(prefix + "in_proj_qkv.weight", weights.spec().hidden),
                       weights.Projection(prefix + "in_proj_z.weight", weights.spec().hidden),
                       weights.Projection(prefix + "in_proj_b.weight", weights.spec().hidden),
                       weights.Projection(prefix + "in_proj_a.weight", weights.spec().hidden)})),
      conv_(weights.Matrix(prefix + "conv1d.weight", kernel_).t().contiguous().unbind(0)),
      minus_exp_a_log_(weights.Vector(prefix + "A_log").exp().neg_()),
      dt_bias_(weights.Vector(prefix + "dt_bias")),
      norm_(weights.Vector(prefix + "norm.weight")),
      out_proj_(weights,
                weights.Projection(prefix + "out_proj.weight", value_heads_ * value_dim_)) {}

LayerState GatedDeltaNet::EmptyState() const {
  LayerState state;
  state.conv = at::zeros({kernel_, channels_}, out_proj_.options());
  state.recurrent = at::zeros({value_heads_, key_dim_, value_dim_}, out_proj_.options());
  return state;
}

// Shifted products instead of at::conv1d, which loops over channels in fp64.
at::Tensor GatedDeltaNet::CausalConv(const at::Tensor& u, at::Tensor& conv_state) const {
  const int64_t count = u.size(0);
  const at::Tensor rows = at::cat({conv_state, u});  // [K + S, C]; row K + t is u_t
  at::Tensor sum = at::mul(rows.narrow(0, 1, count), conv_[0]);
  for (int64_t j = 1; j < kernel_; ++j) sum.addcmul_(rows.narrow(0, 1 + j, count), conv_[j]);
  conv_state = rows.narrow(0, count, kernel_);
  return sum;
}

DeltaRuleInput GatedDeltaNet::SplitHeads(const at::Tensor& activated, const at::Tensor& b,
                                         const at::Tensor& a, const Taps& taps) const {
  const int64_t count = activated.size(0);
  const int64_t key_width = key_heads_ * key_dim_;
  const int64_t repeats = value_heads_ / key_heads_;
  const at::Tensor query_key =
      activated.narrow(1, 0, 2 * key_width).view({count, 2, key_heads_, key_dim_});
  const at::Tensor value = activated.narrow(1, 2 * key_width, value_heads_ * value_dim_)
                               .view({count, value_heads_, value_dim_});
  const at::Tensor norm =
      at::mul(query_key, query_key).sum(-1, /*keepdim=*/true).add_(kL2Epsilon).rsqrt_();
  // Value head h uses key head h div R, as repeat_interleave gives.
  const at::Tensor unit = at::mul(query_key, norm)
                              .unsqueeze(3)
                              .expand({count, 2, key_heads_, repeats, key_dim_})
                              .permute({1, 2, 3, 0, 4})
                              .reshape({2, value_heads_, count, key_dim_});
  const at::Tensor beta = b.sigmoid();
  const at::Tensor log_decay = at::softplus(at::add(a, dt_bias_)).mul_(minus_exp_a_log_);
  taps("gdn.q_conv", query_key.select(1, 0));
  taps("gdn.k_conv", query_key.select(1, 1));
  taps("gdn.v", value);
  taps("gdn.q_hat", unit.select(0, 0));
  taps("gdn.k_hat", unit.select(0, 1));
  taps("gdn.beta", beta);
  taps("gdn.g", log_decay);
  return {.query = unit.select(0, 0).mul(1.0 / std::sqrt(static_cast<double>(key_dim_))),
          .key = unit.select(0, 1),
          .value = value.transpose(0, 1),
          .beta = beta.t(),
          .log_decay = log_decay.t()};
}

at::Tensor GatedDeltaNet::Forward(const at::Tensor& y, const Step& step, const Taps& taps,
                                  LayerState& state) const {
  const int64_t value_width = value_heads_ * value_dim_;
  const at::Tensor projected =
      in_proj_.Forward(step.row_mask.defined() ? at::mul(y, step.row_mask) : y);
  const at::Tensor u = projected.narrow(1, 0, channels_);
  const at::Tensor z = projected.narrow(1, channels_, value_width);
  const at::Tensor b = projected.narrow(1, channels_ + value_width, value_heads_);
  const at::Tensor a = projected.narrow(1, channels_ + value_width + value_heads_, value_heads_);
  taps("gdn.u", u);
  taps("gdn.z", z);
  taps("gdn.b", b);
  taps("gdn.a", a);

  at::Tensor activated = CausalConv(u, state.conv);
  at::silu_(activated);
  taps("gdn.conv_silu", activated);
  const DeltaRuleInput input = SplitHeads(activated, b, a, taps);
  const bool decode = step.count == 1 && step.past > 0;
  const at::Tensor output = (decode ? RecurrentDeltaRule(input, state.recurrent)
                                    : ChunkedDeltaRule(input, state.recurrent))
                                .transpose(0, 1)
                                .contiguous();  // [S, Hv, Dv]
  taps("gdn.o", output);
  const at::Tensor normed =
      RmsNorm(output, norm_, epsilon_).view({step.count, value_width}).mul_(at::silu(z));
  taps("gdn.normed", normed);
  return out_proj_.Forward(normed);
}

}  // namespace crosscheck::torch_reference
