// Llama (architectures.md 4.1 without q/k norms): plain attention and a gated MLP per layer; norms
// multiply with w.
#include "reference/torch/decoder.h"

namespace crosscheck::torch_reference {

FamilyBlocks FamilyNamed_llama() {
  return {.norms_add_one = false, .gated_attention = false, .mixture_of_experts = false};
}

}  // namespace crosscheck::torch_reference
