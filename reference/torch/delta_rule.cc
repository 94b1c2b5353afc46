#include "reference/torch/delta_rule.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace crosscheck::torch_reference {
namespace {

constexpr int64_t kChunk = 64;

DeltaRuleInput Slice(const DeltaRuleInput& input, int64_t begin, int64_t count) {
  const auto slice = [&](const at::Tensor& t) { return t.narrow(1, begin, count); };
  return {slice(input.query), slice(input.key), slice(input.value), slice(input.beta),
          slice(input.log_decay)};
}

// The last chunk may be shorter than 64: padding it with zeros, as is usual, adds only zeros.
at::Tensor Chunk(const DeltaRuleInput& input, at::Tensor& state) {
  const at::Tensor gamma = input.log_decay.cumsum(1);  // [H, n]
  const at::Tensor gamma_column = gamma.unsqueeze(2);
  // Masked before exp: above the diagonal the difference is positive and may overflow.
  const at::Tensor decay = at::sub(gamma_column, gamma.unsqueeze(1)).tril_().exp_().tril_();
  const at::Tensor from_start = gamma_column.exp();  // [H, n, 1]

  const at::Tensor beta = input.beta.unsqueeze(2);
  const at::Tensor key_beta = at::mul(input.key, beta);
  const at::Tensor key_transposed = input.key.transpose(1, 2);
  const at::Tensor lower = at::bmm(key_beta, key_transposed).mul_(decay);
  // Unit triangular: the solver reads only what is strictly below the diagonal.
  const at::Tensor solved = at::linalg_solve_triangular(
      lower, at::cat({at::mul(input.value, beta), at::mul(key_beta, from_start)}, 2),
      /*upper=*/false, /*left=*/true, /*unitriangular=*/true);
  const int64_t value_dim = input.value.size(2);
  const at::Tensor u = solved.narrow(2, 0, value_dim);
  const at::Tensor w = solved.narrow(2, value_dim, input.key.size(2));
  const at::Tensor new_value = at::baddbmm(u, w, state, /*beta=*/1, /*alpha=*/-1);

  const at::Tensor within = at::bmm(input.query, key_transposed).mul_(decay);
  const at::Tensor output =
      at::baddbmm(at::bmm(at::mul(input.query, from_start), state), within, new_value);

  const at::Tensor gamma_last = gamma_column.narrow(1, gamma.size(1) - 1, 1);  // [H, 1, 1]
  const at::Tensor to_end = at::sub(gamma_last, gamma_column).exp_();
  state = at::baddbmm(at::mul(state, gamma_last.exp()), at::mul(input.key, to_end).transpose(1, 2),
                      new_value);
  return output;
}

}  // namespace

at::Tensor ChunkedDeltaRule(const DeltaRuleInput& input, at::Tensor& state) {
  const int64_t count = input.query.size(1);
  if (count <= kChunk) return Chunk(input, state);
  std::vector<at::Tensor> outputs;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    outputs.push_back(Chunk(Slice(input, begin, std::min(kChunk, count - begin)), state));
  }
  return at::cat(outputs, 1);
}

at::Tensor RecurrentDeltaRule(const DeltaRuleInput& input, at::Tensor& state) {
  const at::Tensor decayed = at::mul(state, input.log_decay.exp().unsqueeze(2));
  const at::Tensor read = at::bmm(input.key, decayed);  // [H, 1, Dv]
  const at::Tensor delta = at::sub(input.value, read).mul_(input.beta.unsqueeze(2));
  state = at::baddbmm(decayed, input.key.transpose(1, 2), delta);
  return at::bmm(input.query, state);
}

}  // namespace crosscheck::torch_reference
