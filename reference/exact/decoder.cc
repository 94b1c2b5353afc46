#include "reference/exact/decoder.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reference/exact/blocks/delta_net.h"
#include "reference/exact/blocks/mixture.h"
#include "reference/exact/blocks/mlp.h"
#include "reference/exact/blocks/rope.h"

namespace crosscheck::exact {
namespace {

template <class N>
using Mixer = std::variant<GatedDeltaNet<N>, Attention<N>>;
template <class N>
using FeedForward = std::variant<Mlp<N>, Mixture<N>>;
template <class N>
using LayerState = std::variant<DeltaNetState<typename N::Scalar>, KvCache<typename N::Scalar>>;

template <class N>
struct DecoderLayer {
  RmsNorm<N> mixer_norm;
  RmsNorm<N> feed_forward_norm;
  Mixer<N> mixer;
  FeedForward<N> feed_forward;
};

template <class N>
DecoderLayer<N> MakeLayer(const Model& model, int index, const FamilyBlocks& blocks) {
  const std::string prefix = absl::StrCat("layers.", index, ".");
  const auto norm = [&](const char* name) {
    return RmsNorm<N>(model.Get(prefix + name), model.spec.rms_eps, blocks.norm);
  };
  const bool linear = model.spec.layers[index] == LayerKind::kLinearAttention;
  const bool mixture = blocks.feed_forward == FeedForwardKind::kMixture;
  return {norm("input_layernorm.weight"), norm("post_attention_layernorm.weight"),
          linear ? Mixer<N>(GatedDeltaNet<N>(model, prefix))
                 : Mixer<N>(Attention<N>(model, prefix, blocks.attention)),
          mixture ? FeedForward<N>(Mixture<N>(model, prefix + "mlp."))
                  : FeedForward<N>(Mlp<N>(model, prefix + "mlp.", model.spec.intermediate))};
}

template <class N>
struct Network {
  std::shared_ptr<const Model> model;
  DeltaRule rule;
  std::vector<DecoderLayer<N>> layers;
  RmsNorm<N> final_norm;
  Linear<N> head;
  Rope<N> rope;
};

template <class N>
class DecoderSession final : public ReferenceSession {
 public:
  using T = typename N::Scalar;
  explicit DecoderSession(std::shared_ptr<const Network<N>> network)
      : network_(std::move(network)) {
    for (const DecoderLayer<N>& layer : network_->layers) {
      if (const auto* attention = std::get_if<Attention<N>>(&layer.mixer)) {
        states_.push_back(attention->NewCache());
      } else {
        states_.push_back(std::get<GatedDeltaNet<N>>(layer.mixer).NewState());
      }
    }
  }

  absl::StatusOr<Logits> Extend(const ExtendRequest& request) override;
  int length() const override { return static_cast<int>(mask_.size()); }
  std::vector<Tensor> States() const override;

 private:
  absl::Status Check(const ExtendRequest& request) const;
  void AppendPositions(const ExtendRequest& request);
  void RunLayer(int index, int rows, DeltaRule rule, TapSink* taps);
  Logits Head(int rows, const ExtendRequest& request);

  std::shared_ptr<const Network<N>> network_;
  std::vector<LayerState<N>> states_;
  std::vector<uint8_t> mask_;  // one entry per position, 0 = padding
  int real_positions_ = 0;

  std::vector<int> rotary_positions_;  // of the current Extend
  RotaryAngles<T> angles_;
  std::vector<T> residual_, normed_, branch_, logits_;
  AttentionScratch<T> attention_scratch_;
  DeltaNetScratch<T> delta_net_scratch_;
  MlpScratch<T> mlp_scratch_;
  MixtureScratch<T> mixture_scratch_;
};

template <class N>
absl::Status DecoderSession<N>::Check(const ExtendRequest& request) const {
  const ModelSpec& spec = network_->model->spec;
  if (request.ids.empty()) return absl::InvalidArgumentError("no token ids; give at least one");
  for (size_t i = 0; i < request.ids.size(); ++i) {
    if (request.ids[i] < 0 || request.ids[i] >= spec.vocab) {
      return absl::InvalidArgumentError(absl::StrCat("token id ", request.ids[i], " at index ", i,
                                                     " is outside 0..", spec.vocab - 1));
    }
  }
  if (mask_.size() + request.ids.size() > static_cast<size_t>(spec.max_positions)) {
    return absl::OutOfRangeError(absl::StrCat(mask_.size(), " positions and ", request.ids.size(),
                                              " more exceed max_positions ", spec.max_positions));
  }
  if (request.mask.empty()) return absl::OkStatus();
  if (request.mask.size() != request.ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "mask has ", request.mask.size(), " entries for ", request.ids.size(), " token ids"));
  }
  bool seen_real = real_positions_ > 0;
  for (const uint8_t real : request.mask) {
    if (real == 0 && seen_real) {
      return absl::InvalidArgumentError(
          "padding after a real token; only left padding has a defined result");
    }
    seen_real = seen_real || real != 0;
  }
  return absl::OkStatus();
}

// Rotary positions are cumsum(mask) − 1, at least 0.
template <class N>
void DecoderSession<N>::AppendPositions(const ExtendRequest& request) {
  rotary_positions_.clear();
  for (size_t i = 0; i < request.ids.size(); ++i) {
    const bool real = request.mask.empty() || request.mask[i] != 0;
    mask_.push_back(real ? 1 : 0);
    if (real) ++real_positions_;
    rotary_positions_.push_back(std::max(real_positions_ - 1, 0));
  }
  network_->rope.Angles(rotary_positions_, angles_);
}

template <class N>
absl::StatusOr<Logits> DecoderSession<N>::Extend(const ExtendRequest& request) {
  if (absl::Status status = Check(request); !status.ok()) return status;
  const int rows = static_cast<int>(request.ids.size());
  const int hidden = network_->model->spec.hidden;
  const bool decode_step = rows == 1 && length() > 0;
  AppendPositions(request);
  const size_t size = static_cast<size_t>(rows) * hidden;
  T* residual = Grow(residual_, size);
  Grow(normed_, size);
  Grow(branch_, size);
  const absl::Span<const float> embedding = network_->model->Get("embed_tokens.weight");
  for (int r = 0; r < rows; ++r) {
    std::copy_n(embedding.data() + static_cast<size_t>(request.ids[r]) * hidden, hidden,
                residual + static_cast<size_t>(r) * hidden);
  }
  LayerTaps(request.taps, -1).EmitMatrix("embedding", rows, hidden, residual);
  for (size_t i = 0; i < network_->layers.size(); ++i) {
    RunLayer(static_cast<int>(i), rows, decode_step ? DeltaRule::kRecurrent : network_->rule,
             request.taps);
  }
  return Head(rows, request);
}

template <class N>
void DecoderSession<N>::RunLayer(int index, int rows, DeltaRule rule, TapSink* sink) {
  const DecoderLayer<N>& layer = network_->layers[index];
  const LayerTaps taps(sink, index);
  const int hidden = network_->model->spec.hidden;
  T* residual = residual_.data();
  T* normed = normed_.data();
  T* branch = branch_.data();
  const auto add_branch = [&] {
    for (int i = 0; i < rows * hidden; ++i) residual[i] += branch[i];
  };
  layer.mixer_norm.Apply(residual, rows, normed);
  taps.EmitMatrix("mixer_in", rows, hidden, normed);
  if (const auto* attention = std::get_if<Attention<N>>(&layer.mixer)) {
    attention->Apply(normed, rows, mask_, angles_, taps, std::get<KvCache<T>>(states_[index]),
                     attention_scratch_, branch);
  } else {
    std::get<GatedDeltaNet<N>>(layer.mixer)
        .Apply(normed, rows, absl::MakeConstSpan(mask_).last(rows), rule, taps,
               std::get<DeltaNetState<T>>(states_[index]), delta_net_scratch_, branch);
  }
  taps.EmitMatrix("mixer_out", rows, hidden, branch);
  add_branch();
  layer.feed_forward_norm.Apply(residual, rows, normed);
  taps.EmitMatrix("mlp_in", rows, hidden, normed);
  if (const auto* mlp = std::get_if<Mlp<N>>(&layer.feed_forward)) {
    mlp->Apply(normed, rows, taps, mlp_scratch_, branch);
  } else {
    std::get<Mixture<N>>(layer.feed_forward).Apply(normed, rows, taps, mixture_scratch_, branch);
  }
  taps.EmitMatrix("mlp_out", rows, hidden, branch);
  add_branch();
  taps.EmitMatrix("layer_out", rows, hidden, residual);
}

template <class N>
Logits DecoderSession<N>::Head(int rows, const ExtendRequest& request) {
  const int hidden = network_->model->spec.hidden;
  network_->final_norm.Apply(residual_.data(), rows, normed_.data());
  LayerTaps(request.taps, -1).EmitMatrix("final_norm", rows, hidden, normed_.data());
  const int first = request.all_positions ? 0 : rows - 1;
  const T* normed = normed_.data() + static_cast<size_t>(first) * hidden;
  Logits logits;
  logits.vocab = network_->model->spec.vocab;
  logits.values.resize(static_cast<size_t>(rows - first) * logits.vocab);
  if constexpr (std::is_same_v<T, double>) {
    network_->head.Apply(normed, rows - first, logits.values.data());
  } else {
    T* values = Grow(logits_, logits.values.size());
    network_->head.Apply(normed, rows - first, values);
    std::copy_n(values, logits.values.size(), logits.values.data());
  }
  return logits;
}

template <class N>
std::vector<Tensor> DecoderSession<N>::States() const {
  const ModelSpec& spec = network_->model->spec;
  std::vector<Tensor> tensors;
  const auto add = [&](size_t layer, const char* what, std::vector<int64_t> shape,
                       const std::vector<double>& values) {
    tensors.push_back(MakeTensor(absl::StrCat("layer", layer, ".", what), std::move(shape),
                                 absl::MakeConstSpan(values)));
  };
  for (size_t i = 0; i < states_.size(); ++i) {
    if (const auto* cache = std::get_if<KvCache<T>>(&states_[i])) {
      const auto& attention = std::get<Attention<N>>(network_->layers[i].mixer);
      add(i, "key", {spec.kv_heads, cache->length, spec.head_dim}, attention.Keys(*cache));
      add(i, "value", {spec.kv_heads, cache->length, spec.head_dim}, attention.Values(*cache));
    } else {
      const auto& state = std::get<DeltaNetState<T>>(states_[i]);
      const auto& delta_net = std::get<GatedDeltaNet<N>>(network_->layers[i].mixer);
      add(i, "conv", {spec.conv_channels(), spec.conv_kernel}, delta_net.Conv(state));
      add(i, "recurrent", {spec.linear_value_heads, spec.linear_key_dim, spec.linear_value_dim},
          delta_net.Recurrent(state));
    }
  }
  return tensors;
}

template <class N>
class DecoderModel final : public ReferenceModel {
 public:
  explicit DecoderModel(std::shared_ptr<const Network<N>> network) : network_(std::move(network)) {}
  const ModelSpec& spec() const override { return network_->model->spec; }
  std::unique_ptr<ReferenceSession> NewSession() const override {
    return std::make_unique<DecoderSession<N>>(network_);
  }

 private:
  std::shared_ptr<const Network<N>> network_;
};

}  // namespace

template <class N>
std::unique_ptr<ReferenceModel> MakeDecoder(std::shared_ptr<const Model> model, DeltaRule rule,
                                            const FamilyBlocks& blocks) {
  const ModelSpec& spec = model->spec;
  std::vector<DecoderLayer<N>> layers;
  layers.reserve(spec.layers.size());
  for (int i = 0; i < static_cast<int>(spec.layers.size()); ++i) {
    layers.push_back(MakeLayer<N>(*model, i, blocks));
  }
  RmsNorm<N> final_norm(model->Get("norm.weight"), spec.rms_eps, blocks.norm);
  Linear<N> head(model->GetProjection("lm_head.weight"), spec.vocab, spec.hidden);
  Rope<N> rope(spec.rope_theta, spec.rotary_dim);
  return std::make_unique<DecoderModel<N>>(std::make_shared<const Network<N>>(
      Network<N>{std::move(model), rule, std::move(layers), std::move(final_norm), std::move(head),
                 std::move(rope)}));
}

#define CROSSCHECK_INSTANTIATE(N)                                                                  \
  template std::unique_ptr<ReferenceModel> MakeDecoder<N>(std::shared_ptr<const Model>, DeltaRule, \
                                                          const FamilyBlocks&)
CROSSCHECK_INSTANTIATE(Fp64);
CROSSCHECK_INSTANTIATE(Fp64Reversed);
CROSSCHECK_INSTANTIATE(Fp64Pairwise);
CROSSCHECK_INSTANTIATE(Fp32);
CROSSCHECK_INSTANTIATE(Fp32Reversed);
CROSSCHECK_INSTANTIATE(Fp32Pairwise);
#undef CROSSCHECK_INSTANTIATE

}  // namespace crosscheck::exact
