// Qwen3.5 dense text model, architectures.md 3: gated attention and GatedDeltaNet layers, each
// followed by a SwiGLU MLP.
#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reference/exact/blocks/attention.h"
#include "reference/exact/blocks/delta_net.h"
#include "reference/exact/blocks/mlp.h"
#include "reference/exact/blocks/norm.h"
#include "reference/exact/blocks/rope.h"
#include "reference/exact/model.h"

namespace crosscheck::exact {
namespace {

template <class N>
struct DecoderLayer {
  RmsNorm<N> mixer_norm;
  RmsNorm<N> mlp_norm;
  std::variant<GatedDeltaNet<N>, GatedAttention<N>> mixer;
  Mlp<N> mlp;
};

template <class N>
using LayerState = std::variant<DeltaNetState<typename N::Scalar>, KvCache<typename N::Scalar>>;

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
class Qwen35Session final : public ReferenceSession {
 public:
  using T = typename N::Scalar;
  explicit Qwen35Session(std::shared_ptr<const Network<N>> network) : network_(std::move(network)) {
    for (const DecoderLayer<N>& layer : network_->layers) {
      if (const auto* attention = std::get_if<GatedAttention<N>>(&layer.mixer)) {
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
};

template <class N>
absl::Status Qwen35Session<N>::Check(const ExtendRequest& request) const {
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
void Qwen35Session<N>::AppendPositions(const ExtendRequest& request) {
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
absl::StatusOr<Logits> Qwen35Session<N>::Extend(const ExtendRequest& request) {
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

// x ← x + Mixer(N(x)); x ← x + MLP(N(x)).
template <class N>
void Qwen35Session<N>::RunLayer(int index, int rows, DeltaRule rule, TapSink* sink) {
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
  if (const auto* attention = std::get_if<GatedAttention<N>>(&layer.mixer)) {
    attention->Apply(normed, rows, mask_, angles_, taps, std::get<KvCache<T>>(states_[index]),
                     attention_scratch_, branch);
  } else {
    std::get<GatedDeltaNet<N>>(layer.mixer)
        .Apply(normed, rows, absl::MakeConstSpan(mask_).last(rows), rule, taps,
               std::get<DeltaNetState<T>>(states_[index]), delta_net_scratch_, branch);
  }
  taps.EmitMatrix("mixer_out", rows, hidden, branch);
  add_branch();
  layer.mlp_norm.Apply(residual, rows, normed);
  taps.EmitMatrix("mlp_in", rows, hidden, normed);
  layer.mlp.Apply(normed, rows, mlp_scratch_, branch);
  taps.EmitMatrix("mlp_out", rows, hidden, branch);
  add_branch();
  taps.EmitMatrix("layer_out", rows, hidden, residual);
}

template <class N>
Logits Qwen35Session<N>::Head(int rows, const ExtendRequest& request) {
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
std::vector<Tensor> Qwen35Session<N>::States() const {
  const ModelSpec& spec = network_->model->spec;
  std::vector<Tensor> tensors;
  const auto add = [&](size_t layer, const char* what, std::vector<int64_t> shape,
                       const std::vector<double>& values) {
    tensors.push_back(MakeTensor(absl::StrCat("layer", layer, ".", what), std::move(shape),
                                 absl::MakeConstSpan(values)));
  };
  for (size_t i = 0; i < states_.size(); ++i) {
    if (const auto* cache = std::get_if<KvCache<T>>(&states_[i])) {
      const auto& attention = std::get<GatedAttention<N>>(network_->layers[i].mixer);
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
class Qwen35Model final : public ReferenceModel {
 public:
  explicit Qwen35Model(std::shared_ptr<const Network<N>> network) : network_(std::move(network)) {}
  const ModelSpec& spec() const override { return network_->model->spec; }
  std::unique_ptr<ReferenceSession> NewSession() const override {
    return std::make_unique<Qwen35Session<N>>(network_);
  }

 private:
  std::shared_ptr<const Network<N>> network_;
};

template <class N>
DecoderLayer<N> MakeLayer(const Model& model, int index) {
  using Mixer = std::variant<GatedDeltaNet<N>, GatedAttention<N>>;
  const std::string prefix = absl::StrCat("layers.", index, ".");
  return {RmsNorm<N>(model.Get(prefix + "input_layernorm.weight"), model.spec.rms_eps),
          RmsNorm<N>(model.Get(prefix + "post_attention_layernorm.weight"), model.spec.rms_eps),
          model.spec.layers[index] == LayerKind::kFullAttention
              ? Mixer(GatedAttention<N>(model, prefix))
              : Mixer(GatedDeltaNet<N>(model, prefix)),
          Mlp<N>(model, prefix)};
}

}  // namespace

template <class N>
std::unique_ptr<ReferenceModel> MakeQwen35(std::shared_ptr<const Model> model, DeltaRule rule) {
  const ModelSpec& spec = model->spec;
  std::vector<DecoderLayer<N>> layers;
  layers.reserve(spec.layers.size());
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    layers.push_back(MakeLayer<N>(*model, static_cast<int>(i)));
  }
  RmsNorm<N> final_norm(model->Get("norm.weight"), spec.rms_eps);
  Linear<N> head(model->Get("lm_head.weight"), spec.vocab, spec.hidden);
  Rope<N> rope(spec.rope_theta, spec.rotary_dim);
  return std::make_unique<Qwen35Model<N>>(std::make_shared<const Network<N>>(
      Network<N>{std::move(model), rule, std::move(layers), std::move(final_norm), std::move(head),
                 std::move(rope)}));
}

template std::unique_ptr<ReferenceModel> MakeQwen35<Fp64>(std::shared_ptr<const Model>, DeltaRule);
template std::unique_ptr<ReferenceModel> MakeQwen35<Fp64Reversed>(std::shared_ptr<const Model>,
                                                                  DeltaRule);
template std::unique_ptr<ReferenceModel> MakeQwen35<Fp64Pairwise>(std::shared_ptr<const Model>,
                                                                  DeltaRule);
template std::unique_ptr<ReferenceModel> MakeQwen35<Fp32>(std::shared_ptr<const Model>, DeltaRule);
template std::unique_ptr<ReferenceModel> MakeQwen35<Fp32Reversed>(std::shared_ptr<const Model>,
                                                                  DeltaRule);
template std::unique_ptr<ReferenceModel> MakeQwen35<Fp32Pairwise>(std::shared_ptr<const Model>,
                                                                  DeltaRule);

}  // namespace crosscheck::exact
