// Qwen3.5-MoE text model, architectures.md 4.3: the mixers of Qwen3.5, each followed by a mixture
// of experts with a gated shared expert.
#include "reference/exact/decoder.h"

namespace crosscheck::exact {

FamilyBlocks FamilyNamed_qwen3_5_moe() {
  return {.norm = NormWeight::kOnePlus,
          .attention = AttentionKind::kGated,
          .feed_forward = FeedForwardKind::kMixture};
}

}  // namespace crosscheck::exact
