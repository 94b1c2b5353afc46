// The decoder-only network: embedding, pre-norm layers with a residual stream, final norm, head
// (architectures.md 3.4). A family says which blocks its layers hold.
#ifndef CROSSCHECK_REFERENCE_TORCH_DECODER_H_
#define CROSSCHECK_REFERENCE_TORCH_DECODER_H_

#include <variant>
#include <vector>

#include "reference/torch/attention.h"
#include "reference/torch/gated_delta_net.h"
#include "reference/torch/mixture_of_experts.h"

namespace crosscheck::torch_reference {

// What distinguishes a family. families/<name>.cc defines `FamilyBlocks FamilyNamed_<name>()`,
// which the list of families finds by that name.
struct FamilyBlocks {
  bool norms_add_one;       // norms outside the mixers multiply with 1 + w, otherwise with w
  bool gated_attention;     // of full attention layers; linear ones hold a GatedDeltaNet
  bool mixture_of_experts;  // in the place of the MLP
};

struct DecoderLayer {
  at::Tensor input_norm;           // [d], what the normalised stream is multiplied with
  at::Tensor post_attention_norm;  // [d], the same
  std::variant<GatedDeltaNet, Attention> mixer;
  std::variant<GatedMlp, MixtureOfExperts> feed_forward;
};

// Immutable once made, so any number of threads may use it.
class Decoder {
 public:
  Decoder(const Weights& weights, const FamilyBlocks& blocks);

  // One entry per layer, for a sequence of no positions.
  std::vector<LayerState> EmptyStates() const;
  // ids [S] int32 -> what the language model head takes, [S, d]. Replaces the states.
  at::Tensor Forward(const at::Tensor& ids, const Step& step,
                     std::vector<LayerState>& states) const;
  at::Tensor Head(const at::Tensor& hidden) const { return head_.Forward(hidden); }  // -> [rows, V]

 private:
  at::Tensor ForwardLayer(const DecoderLayer& layer, const at::Tensor& x, const Step& step,
                          const Taps& taps, LayerState& state) const;

  double epsilon_;
  at::Tensor embedding_;  // [V, d]
  at::Tensor norm_;       // [d]
  Linear head_;           // d -> V
  std::vector<DecoderLayer> layers_;
};

}  // namespace crosscheck::torch_reference

#endif  // CROSSCHECK_REFERENCE_TORCH_DECODER_H_
