// Faults in the weights that an engine loads. Name, what makes it show, the smallest case:
// - none: never; the benign control
// - rope_pairing: full attention, two or more tokens, rotary_dim >= 4; 1 full layer, 1 head,
//   head_dim 4, 2 tokens
// - expert_off_by_one: a mixture of experts that rejects some; 1 layer, 1 token, 2 experts, top 1
// - shared_gate: a mixture of experts; 1 layer, 1 token, 1 expert
// - padding_row: token 0 in the sequence; 1 layer, 1 token (id 0), vocabulary 2
#include <algorithm>
#include <string>

#include "engines/faults/fault.h"

namespace crosscheck {
namespace {

// Rows of `matrix` [rows, columns] from `first` on: the pairs (i, i + rotary/2) become what were
// pairs (2i, 2i + 1).
void PairAdjacentRows(std::vector<float>& matrix, size_t first, size_t rotary, size_t columns) {
  const std::vector<float> old(matrix);
  for (size_t i = 0; i < rotary; ++i) {
    const size_t source = i < rotary / 2 ? 2 * i : 2 * (i - rotary / 2) + 1;
    std::copy_n(old.begin() + static_cast<ptrdiff_t>((first + source) * columns), columns,
                matrix.begin() + static_cast<ptrdiff_t>((first + i) * columns));
  }
}

// The classical mix-up of rotary layouts: dimension i paired with i + 1 instead of i + rotary/2.
void RopePairing(Model& model) {
  const ModelSpec& spec = model.spec;
  const auto rotary = static_cast<size_t>(spec.rotary_dim);
  const auto dim = static_cast<size_t>(spec.head_dim);
  const size_t query_rows = TraitsOf(spec.family).gated_attention ? 2 * dim : dim;
  for (size_t t = 0; t < model.tensors.size(); ++t) {
    const std::string& name = model.tensors[t].name;
    const bool query = name.ends_with("self_attn.q_proj.weight");  // per head [q | gate] or q
    const bool key = name.ends_with("self_attn.k_proj.weight");
    const bool norm =
        name.ends_with("self_attn.q_norm.weight") || name.ends_with("self_attn.k_norm.weight");
    const auto columns = static_cast<size_t>(norm ? 1 : spec.hidden);
    const auto heads = static_cast<size_t>(norm ? 1 : query ? spec.heads : spec.kv_heads);
    if (!query && !key && !norm) continue;
    for (size_t h = 0; h < heads; ++h) {
      PairAdjacentRows(model.values[t], h * (query ? query_rows : dim), rotary, columns);
    }
  }
}

// Experts counted from 1 where the router counts from 0.
void ExpertOffByOne(Model& model) {
  for (size_t t = 0; t < model.tensors.size(); ++t) {
    if (model.tensors[t].role != TensorRole::kRouter) continue;
    std::vector<float>& rows = model.values[t];
    std::rotate(rows.begin(), rows.begin() + model.spec.hidden, rows.end());
  }
}

// A shared expert whose gate is left out: sigmoid(0) halves it, so it is doubled.
void SharedGate(Model& model) {
  for (size_t t = 0; t < model.tensors.size(); ++t) {
    const std::string& name = model.tensors[t].name;
    const bool gate = name.ends_with("shared_expert_gate.weight");
    if (!gate && !name.ends_with("shared_expert.down_proj.weight")) continue;
    for (float& value : model.values[t]) value *= gate ? 0.0F : 2.0F;
  }
}

// An embedding that was made with padding_idx = 0, so that its first row is zero.
void PaddingRow(Model& model) {
  for (size_t t = 0; t < model.tensors.size(); ++t) {
    if (model.tensors[t].role != TensorRole::kEmbedding) continue;
    std::fill_n(model.values[t].begin(), model.spec.hidden, 0.0F);
  }
}

constexpr Fault kFaults[] = {
    {"none", nullptr},
    {"expert_off_by_one", nullptr, ExpertOffByOne},
    {"shared_gate", nullptr, SharedGate},
    {"rope_pairing", nullptr, RopePairing},
    {"padding_row", nullptr, PaddingRow},
};

}  // namespace

absl::Span<const Fault> ModelFaults() { return kFaults; }

}  // namespace crosscheck
