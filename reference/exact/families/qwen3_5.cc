// Qwen3.5 dense text model, architectures.md 3: gated attention and GatedDeltaNet layers, each
// followed by a SwiGLU MLP; zero-centred norms.
#include "reference/exact/decoder.h"

namespace crosscheck::exact {

FamilyBlocks FamilyNamed_qwen3_5() {
  return {.norm = NormWeight::kOnePlus,
          .attention = AttentionKind::kGated,
          .feed_forward = FeedForwardKind::kMlp};
}

}  // namespace crosscheck::exact
