#include "reference/exact/blocks/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace crosscheck::exact {
namespace {

// Scores [mask size] become probabilities; masked keys get exactly 0.
template <class N, class T = typename N::Scalar>
void Softmax(absl::Span<const uint8_t> mask, T scale, T* scores) {
  const int n = static_cast<int>(mask.size());
  T largest = -std::numeric_limits<T>::infinity();
  for (int i = 0; i < n; ++i) {
    scores[i] *= scale;
    if (mask[i] != 0) largest = std::max(largest, scores[i]);
  }
  for (int i = 0; i < n; ++i) scores[i] = mask[i] != 0 ? std::exp(scores[i] - largest) : T{0};
  const T total = Sum<N::kOrder>(0, n, T{0}, [&](int i) { return scores[i]; });
  if (total == T{0}) return;  // no visible key
  for (int i = 0; i < n; ++i) scores[i] /= total;
}

}  // namespace

template <class N>
Attention<N>::Attention(const Model& model, const std::string& prefix, AttentionKind kind)
    : kind_(kind),
      heads_(model.spec.heads),
      kv_heads_(model.spec.kv_heads),
      head_dim_(model.spec.head_dim),
      query_gate_(model.GetProjection(prefix + "self_attn.q_proj.weight"),
                  (kind == AttentionKind::kGated ? 2 : 1) * heads_ * head_dim_, model.spec.hidden),
      key_(model.GetProjection(prefix + "self_attn.k_proj.weight"), kv_heads_ * head_dim_,
           model.spec.hidden),
      value_(model.GetProjection(prefix + "self_attn.v_proj.weight"), kv_heads_ * head_dim_,
             model.spec.hidden),
      output_(model.GetProjection(prefix + "self_attn.o_proj.weight"), model.spec.hidden,
              heads_ * head_dim_),
      rope_(model.spec.rope_theta, model.spec.rotary_dim) {
  if (kind == AttentionKind::kPlain) return;
  const double eps = model.spec.rms_eps;
  query_norm_.emplace(model.Get(prefix + "self_attn.q_norm.weight"), eps, NormWeight::kOnePlus);
  key_norm_.emplace(model.Get(prefix + "self_attn.k_norm.weight"), eps, NormWeight::kOnePlus);
}

template <class N>
KvCache<typename N::Scalar> Attention<N>::NewCache() const {
  KvCache<T> cache;
  cache.keys.resize(kv_heads_);
  cache.values.resize(kv_heads_);
  return cache;
}

template <class N>
void Attention<N>::Apply(const T* y, int rows, absl::Span<const uint8_t> key_mask,
                         const RotaryAngles<T>& angles, const LayerTaps& taps, KvCache<T>& cache,
                         AttentionScratch<T>& scratch, T* out) const {
  Project(y, rows, angles, taps, scratch);
  Append(rows, scratch, cache);
  const bool tap_probabilities = taps.Wants("attn.probs");
  Attend(rows, key_mask, cache, tap_probabilities, scratch);
  if (tap_probabilities) {
    taps.EmitCube("attn.probs", heads_, rows, cache.length, scratch.tapped_probabilities.data());
  }
  taps.EmitCube("attn.context", rows, heads_, head_dim_, scratch.context.data());
  output_.Apply(kind_ == AttentionKind::kGated ? Gate(rows, taps, scratch) : scratch.context.data(),
                rows, out);
}

// context ⊙ σ(gate) [rows, H·D].
template <class N>
auto Attention<N>::Gate(int rows, const LayerTaps& taps, AttentionScratch<T>& scratch) const
    -> const T* {
  const int width = heads_ * head_dim_;
  T* gated = Grow(scratch.gated, static_cast<size_t>(rows) * width);
  for (int r = 0; r < rows * heads_; ++r) {
    const T* gate = scratch.query_gate.data() + (static_cast<size_t>(r) * 2 + 1) * head_dim_;
    const size_t first = static_cast<size_t>(r) * head_dim_;
    for (int i = 0; i < head_dim_; ++i) {
      gated[first + i] = scratch.context[first + i] * Sigmoid(gate[i]);
    }
  }
  taps.EmitMatrix("attn.gated", rows, width, gated);
  return gated;
}

// query and key [rows, heads, D] after norm and RoPE, value [rows, Hkv, D], query_gate [rows, H,
// 2D].
template <class N>
void Attention<N>::Project(const T* y, int rows, const RotaryAngles<T>& angles,
                           const LayerTaps& taps, AttentionScratch<T>& scratch) const {
  const int width = heads_ * head_dim_;
  const int kv_width = kv_heads_ * head_dim_;
  const bool gated = kind_ == AttentionKind::kGated;
  T* query = Grow(scratch.query, static_cast<size_t>(rows) * width);
  T* projected = gated ? Grow(scratch.query_gate, static_cast<size_t>(rows) * 2 * width) : query;
  T* key = Grow(scratch.key, static_cast<size_t>(rows) * kv_width);
  T* value = Grow(scratch.value, static_cast<size_t>(rows) * kv_width);
  query_gate_.Apply(y, rows, projected);
  key_.Apply(y, rows, key);
  value_.Apply(y, rows, value);
  taps.EmitMatrix("attn.q_proj_out", rows, query_gate_.out(), projected);
  taps.EmitMatrix("attn.k_proj_out", rows, kv_width, key);
  NormAndRotate(rows, angles, taps, scratch);
}

template <class N>
void Attention<N>::NormAndRotate(int rows, const RotaryAngles<T>& angles, const LayerTaps& taps,
                                 AttentionScratch<T>& scratch) const {
  const int width = heads_ * head_dim_;
  const int kv_width = kv_heads_ * head_dim_;
  T* query = scratch.query.data();
  T* key = scratch.key.data();
  if (query_norm_) {
    query_norm_->Apply(scratch.query_gate.data(), rows * heads_, 2 * head_dim_, query);
    key_norm_->Apply(key, rows * kv_heads_, key);
    taps.EmitCube("attn.q_normed", rows, heads_, head_dim_, query);
    taps.EmitCube("attn.k_normed", rows, kv_heads_, head_dim_, key);
  }
  for (int r = 0; r < rows; ++r) {
    for (int h = 0; h < heads_; ++h) rope_.Rotate(angles, r, query + r * width + h * head_dim_);
    for (int h = 0; h < kv_heads_; ++h) rope_.Rotate(angles, r, key + r * kv_width + h * head_dim_);
  }
  const auto per_head = [&](T* data, int heads) {
    return [=, this](int h, int r, int i) -> T& {
      return data[(static_cast<size_t>(r) * heads + h) * head_dim_ + i];
    };
  };
  taps.Emit("attn.q_roped", heads_, rows, head_dim_, per_head(query, heads_));
  taps.Emit("attn.k_roped", kv_heads_, rows, head_dim_, per_head(key, kv_heads_));
  taps.Emit("attn.v", kv_heads_, rows, head_dim_, per_head(scratch.value.data(), kv_heads_));
}

template <class N>
void Attention<N>::Append(int rows, const AttentionScratch<T>& scratch, KvCache<T>& cache) const {
  const int padded = PadToLanes<T>(head_dim_);
  for (int h = 0; h < kv_heads_; ++h) {
    T* values = Grow(cache.values[h], static_cast<size_t>(cache.length + rows) * padded);
    for (int r = 0; r < rows; ++r) {
      const size_t from = (static_cast<size_t>(r) * kv_heads_ + h) * head_dim_;
      AppendTransposed(scratch.key.data() + from, head_dim_, cache.length + r, cache.keys[h]);
      std::copy_n(scratch.value.data() + from, head_dim_,
                  values + static_cast<size_t>(cache.length + r) * padded);
    }
  }
  cache.length += rows;
}

// context [rows, H, D]: softmax(q·kᵀ / √D) · v over the keys up to each row's own position. The
// query heads of one kv head (h div G) are neighbours, so one product serves them.
template <class N>
void Attention<N>::Attend(int rows, absl::Span<const uint8_t> key_mask, const KvCache<T>& cache,
                          bool tap_probabilities, AttentionScratch<T>& scratch) const {
  const int group = heads_ / kv_heads_;
  const int padded = PadToLanes<T>(head_dim_);
  const T scale = T{1} / std::sqrt(static_cast<T>(head_dim_));
  T* probabilities = Grow(scratch.probabilities, static_cast<size_t>(group) * cache.length);
  T* context = Grow(scratch.context, static_cast<size_t>(rows) * heads_ * head_dim_);
  if (tap_probabilities) {
    scratch.tapped_probabilities.assign(static_cast<size_t>(heads_) * rows * cache.length, 0.0);
  }
  for (int r = 0; r < rows; ++r) {
    const int visible = cache.length - rows + r + 1;
    for (int kv = 0; kv < kv_heads_; ++kv) {
      const size_t first = (static_cast<size_t>(r) * kv_heads_ + kv) * group * head_dim_;
      MatMul<N>::Run({scratch.query.data() + first, head_dim_},
                     TransposedPanels(cache.keys[kv].data(), head_dim_), group, head_dim_, visible,
                     {probabilities, visible});
      for (int g = 0; g < group; ++g) {
        T* row = probabilities + static_cast<size_t>(g) * visible;
        Softmax<N>(key_mask.first(visible), scale, row);
        if (!tap_probabilities) continue;
        std::copy_n(row, visible,
                    scratch.tapped_probabilities.data() +
                        (static_cast<size_t>(kv * group + g) * rows + r) * cache.length);
      }
      MatMul<N>::Run({probabilities, visible}, AsPanels(cache.values[kv].data(), padded), group,
                     visible, head_dim_, {context + first, head_dim_});
    }
  }
}

template <class N>
std::vector<double> Attention<N>::Keys(const KvCache<T>& cache) const {
  std::vector<double> all;
  for (const std::vector<T>& keys : cache.keys) {
    for (int t = 0; t < cache.length; ++t) {
      const T* column =
          keys.data() + static_cast<size_t>(t / kLanes<T>) * head_dim_ * kLanes<T> + t % kLanes<T>;
      for (int i = 0; i < head_dim_; ++i) all.push_back(column[i * kLanes<T>]);
    }
  }
  return all;
}

template <class N>
std::vector<double> Attention<N>::Values(const KvCache<T>& cache) const {
  std::vector<double> all;
  for (const std::vector<T>& values : cache.values) {
    for (int t = 0; t < cache.length; ++t) {
      const T* row = values.data() + static_cast<size_t>(t) * PadToLanes<T>(head_dim_);
      all.insert(all.end(), row, row + head_dim_);
    }
  }
  return all;
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(Attention);

}  // namespace crosscheck::exact
