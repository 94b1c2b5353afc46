// The frame of a decoder-only model: embedding, pre-norm layers of a mixer and a feed-forward
// block, final norm, head; its sessions keep the states. A family says which blocks its layers
// hold.
//
//   x ← x + Mixer(N(x));   x ← x + FeedForward(N(x))        architectures.md 3.4
#ifndef CROSSCHECK_REFERENCE_EXACT_DECODER_H_
#define CROSSCHECK_REFERENCE_EXACT_DECODER_H_

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "reference/exact/blocks/attention.h"
#include "reference/exact/blocks/delta_net.h"
#include "reference/exact/blocks/mixture.h"
#include "reference/exact/blocks/mlp.h"
#include "reference/exact/blocks/norm.h"
#include "reference/exact/blocks/rope.h"
#include "reference/reference_model.h"

namespace crosscheck::exact {

template <class N>
using Mixer = std::variant<GatedDeltaNet<N>, Attention<N>>;
template <class N>
using FeedForward = std::variant<Mlp<N>, Mixture<N>>;

template <class N>
struct DecoderLayer {
  RmsNorm<N> mixer_norm;
  RmsNorm<N> feed_forward_norm;
  Mixer<N> mixer;
  FeedForward<N> feed_forward;
};

// Assembles the model from its layers; embedding, final norm and head come from the weights.
template <class N>
std::unique_ptr<ReferenceModel> MakeDecoder(std::shared_ptr<const Model> model, DeltaRule rule,
                                            NormWeight norm, std::vector<DecoderLayer<N>> layers);

}  // namespace crosscheck::exact

#endif  // CROSSCHECK_REFERENCE_EXACT_DECODER_H_
