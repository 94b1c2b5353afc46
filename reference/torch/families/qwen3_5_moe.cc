// Qwen3.5-MoE text model (architectures.md 4.3): the layers of Qwen3.5 with a mixture of experts in
// the place of the MLP; norms multiply with 1 + w.
#include "reference/torch/decoder.h"

namespace crosscheck::torch_reference {

FamilyBlocks FamilyNamed_qwen3_5_moe() {
  return {.norms_add_one = true, .gated_attention = true, .mixture_of_experts = true};
}

}  // namespace crosscheck::torch_reference
