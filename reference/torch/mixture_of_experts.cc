#include "reference/torch/mixture_of_experts.h"

#include <tuple>

namespace crosscheck::torch_reference {

MixtureOfExperts::MixtureOfExperts(const Weights& weights, const std::string& prefix)
    : experts_per_token_(weights.spec().experts_per_token),
      router_(weights.Matrix(prefix + "gate.weight", weights.spec().hidden).t()),
      shared_(weights, prefix + "shared_expert."),
      shared_gate_(
          weights.Matrix(prefix + "shared_expert_gate.weight", weights.spec().hidden).t()) {
  const int64_t hidden = weights.spec().hidden;
  const int64_t experts = weights.spec().experts;
  const int64_t width = weights.spec().intermediate;
  gate_up_ = weights.Vector(prefix + "experts.gate_up_proj")
                 .view({experts, 2 * width, hidden})
                 .transpose(1, 2);
  down_ =
      weights.Vector(prefix + "experts.down_proj").view({experts, hidden, width}).transpose(1, 2);
}

at::Tensor MixtureOfExperts::Forward(const at::Tensor& y, const Taps& taps) const {
  const int64_t count = y.size(0);
  const int64_t hidden = y.size(1);
  const int64_t width = down_.size(1);
  const at::Tensor logits = at::mm(y, router_);
  const auto [largest, selected] =
      at::topk(at::_softmax(logits, -1, /*half_to_float=*/false), experts_per_token_, -1);
  const at::Tensor weights = at::div(largest, largest.sum(-1, /*keepdim=*/true));

  // One row per token and chosen expert, each with the matrices of its expert.
  const at::Tensor chosen = selected.reshape({-1});
  const at::Tensor rows =
      y.unsqueeze(1).expand({count, experts_per_token_, hidden}).reshape({-1, 1, hidden});
  const at::Tensor gate_up = at::bmm(rows, at::index_select(gate_up_, 0, chosen));
  const at::Tensor activated =
      at::silu(gate_up.narrow(2, 0, width)).mul_(gate_up.narrow(2, width, width));
  const at::Tensor outputs = at::bmm(activated, at::index_select(down_, 0, chosen))
                                 .view({count, experts_per_token_, hidden});
  const at::Tensor routed = at::mul(outputs, weights.unsqueeze(-1)).sum(1);

  const at::Tensor shared_gate = at::mm(y, shared_gate_);
  const at::Tensor shared = shared_.Forward(y, {.sink = nullptr, .layer = -1});
  taps("moe.router_logits", logits);
  taps("moe.selected", selected.to(y.scalar_type()));
  taps("moe.router_weights", weights);
  taps("moe.expert_out", outputs);
  taps("moe.routed_out", routed);
  taps("moe.shared_gate_logit", shared_gate.squeeze(-1));
  taps("moe.shared_out_ungated", shared);
  return at::mul(shared, at::sigmoid(shared_gate)).add_(routed);
}

}  // namespace crosscheck::torch_reference
