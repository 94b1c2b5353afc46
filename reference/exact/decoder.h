// The frame of a decoder-only model: embedding, pre-norm layers of a mixer and a feed-forward
// block, final norm, head; its sessions keep the states. A family says which blocks its layers
// hold.
//
//   x ← x + Mixer(N(x));   x ← x + FeedForward(N(x))        architectures.md 3.4
#ifndef CROSSCHECK_REFERENCE_EXACT_DECODER_H_
#define CROSSCHECK_REFERENCE_EXACT_DECODER_H_

#include <memory>

#include "reference/exact/blocks/attention.h"
#include "reference/exact/blocks/delta_rule.h"
#include "reference/exact/blocks/norm.h"
#include "reference/reference_model.h"

namespace crosscheck::exact {

enum class FeedForwardKind { kMlp, kMixture };

// What distinguishes a family. families/<name>.cc defines `FamilyBlocks FamilyNamed_<name>()`,
// which the list of families finds by that name.
struct FamilyBlocks {
  NormWeight norm;          // of every norm outside the mixers
  AttentionKind attention;  // of full attention layers; linear ones hold a GatedDeltaNet
  FeedForwardKind feed_forward;
};

// The model must have the tensors that its spec says.
template <class N>
std::unique_ptr<ReferenceModel> MakeDecoder(std::shared_ptr<const Model> model, DeltaRule rule,
                                            const FamilyBlocks& blocks);

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_DECODER_H_
