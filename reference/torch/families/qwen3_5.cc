// Qwen3.5 dense text model (architectures.md 3): one of two mixers and a gated MLP per layer; norms
// multiply with 1 + w.
#include "reference/torch/decoder.h"

namespace crosscheck::torch_reference {

FamilyBlocks FamilyNamed_qwen3_5() {
  return {.norms_add_one = true, .gated_attention = true, .mixture_of_experts = false};
}

}  // namespace crosscheck::torch_reference
