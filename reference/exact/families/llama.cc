// Llama: the equations of architectures.md 4.1 without q and k norms. Full attention with rotation
// of whole heads and no output gate, SwiGLU MLPs, norms with plain weights.
#include "reference/exact/decoder.h"

namespace crosscheck::exact {

FamilyBlocks FamilyNamed_llama() {
  return {.norm = NormWeight::kPlain,
          .attention = AttentionKind::kPlain,
          .feed_forward = FeedForwardKind::kMlp};
}

}  // namespace crosscheck::exact
