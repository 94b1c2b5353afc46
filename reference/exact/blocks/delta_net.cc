#include "reference/exact/blocks/delta_net.h"

#include <algorithm>
#include <cmath>

#include "reference/exact/blocks/norm.h"

namespace crosscheck::exact {
namespace {

// torch's softplus: the identity above 20.
template <class T>
T Softplus(T x) {
  return x > T{20} ? x : std::log1p(std::exp(x));
}

}  // namespace

template <class N>
GatedDeltaNet<N>::GatedDeltaNet(const Model& model, const std::string& prefix)
    : key_heads_(model.spec.linear_key_heads),
      value_heads_(model.spec.linear_value_heads),
      key_dim_(model.spec.linear_key_dim),
      value_dim_(model.spec.linear_value_dim),
      kernel_(model.spec.conv_kernel),
      channels_(model.spec.conv_channels()),
      padded_channels_(PadToLanes<T>(channels_)),
      padded_value_dim_(PadToLanes<T>(value_dim_)),
      qkv_(model.GetProjection(prefix + "linear_attn.in_proj_qkv.weight"), channels_,
           model.spec.hidden),
      z_(model.GetProjection(prefix + "linear_attn.in_proj_z.weight"), value_heads_ * value_dim_,
         model.spec.hidden),
      b_(model.GetProjection(prefix + "linear_attn.in_proj_b.weight"), value_heads_,
         model.spec.hidden),
      a_(model.GetProjection(prefix + "linear_attn.in_proj_a.weight"), value_heads_,
         model.spec.hidden),
      output_(model.GetProjection(prefix + "linear_attn.out_proj.weight"), model.spec.hidden,
              value_heads_ * value_dim_),
      conv_weight_(static_cast<size_t>(kernel_) * padded_channels_),
      eps_(static_cast<T>(model.spec.rms_eps)) {
  const absl::Span<const float> conv =
      model.Get(prefix + "linear_attn.conv1d.weight");  // [C, 1, K]
  for (int c = 0; c < channels_; ++c) {
    for (int j = 0; j < kernel_; ++j) {
      conv_weight_[j * padded_channels_ + c] = conv[c * kernel_ + j];
    }
  }
  for (const float a_log : model.Get(prefix + "linear_attn.A_log")) {
    negative_decay_.push_back(-std::exp(static_cast<T>(a_log)));
  }
  const absl::Span<const float> dt_bias = model.Get(prefix + "linear_attn.dt_bias");
  dt_bias_.assign(dt_bias.begin(), dt_bias.end());
  const absl::Span<const float> norm = model.Get(prefix + "linear_attn.norm.weight");
  norm_weight_.assign(norm.begin(), norm.end());
}

template <class N>
DeltaNetState<typename N::Scalar> GatedDeltaNet<N>::NewState() const {
  DeltaNetState<T> state;
  state.conv.resize(static_cast<size_t>(kernel_) * padded_channels_);
  state.recurrent.resize(static_cast<size_t>(value_heads_) * key_dim_ * padded_value_dim_);
  return state;
}

template <class N>
void GatedDeltaNet<N>::Apply(T* y, int rows, absl::Span<const uint8_t> mask, DeltaRule rule,
                             const LayerTaps& taps, DeltaNetState<T>& state,
                             DeltaNetScratch<T>& scratch, T* out) const {
  const int hidden = output_.out();
  for (int r = 0; r < rows; ++r) {
    if (mask[r] == 0) std::fill_n(y + static_cast<size_t>(r) * hidden, hidden, T{0});
  }
  Project(y, rows, taps, state, scratch);
  Convolve(rows, taps, scratch);
  Split(rows, taps, scratch);
  Gates(rows, taps, scratch);
  RunRule(rows, rule, taps, state, scratch);
  GatedNorm(rows, scratch);
  taps.EmitMatrix("gdn.normed", rows, value_heads_ * value_dim_, scratch.normed.data());
  output_.Apply(scratch.normed.data(), rows, out);
}

// scratch.u gets the K rows of the conv state followed by the new rows; its last K rows are the new
// conv state.
template <class N>
void GatedDeltaNet<N>::Project(const T* y, int rows, const LayerTaps& taps, DeltaNetState<T>& state,
                               DeltaNetScratch<T>& scratch) const {
  const size_t history = static_cast<size_t>(kernel_) * padded_channels_;
  const size_t added = static_cast<size_t>(rows) * padded_channels_;
  T* u = Grow(scratch.u, history + added);
  std::copy_n(state.conv.data(), history, u);
  qkv_.Apply(y, rows, u + history, padded_channels_);
  taps.Emit("gdn.u", rows, channels_, [&](int r, int c) -> T& {
    return u[history + static_cast<size_t>(r) * padded_channels_ + c];
  });
  std::copy_n(u + added, history, state.conv.data());
  T* z = Grow(scratch.z, static_cast<size_t>(rows) * z_.out());
  T* a = Grow(scratch.a, static_cast<size_t>(rows) * value_heads_);
  T* b = Grow(scratch.b, static_cast<size_t>(rows) * value_heads_);
  z_.Apply(y, rows, z);
  a_.Apply(y, rows, a);
  b_.Apply(y, rows, b);
  taps.EmitMatrix("gdn.z", rows, z_.out(), z);
  taps.EmitMatrix("gdn.b", rows, value_heads_, b);
  taps.EmitMatrix("gdn.a", rows, value_heads_, a);
}

// silu(Σ_j w[c, j] · u[t − (K−1) + j, c]), neighbouring channels together.
template <class N>
void GatedDeltaNet<N>::Convolve(int rows, const LayerTaps& taps,
                                DeltaNetScratch<T>& scratch) const {
  T* out = Grow(scratch.conv, static_cast<size_t>(rows) * padded_channels_);
  for (int r = 0; r < rows; ++r) {
    const T* window = scratch.u.data() + static_cast<size_t>(r + 1) * padded_channels_;
    T* row = out + static_cast<size_t>(r) * padded_channels_;
    for (int c = 0; c < channels_; c += kLanes<T>) {
      const Lanes<T> sum = Sum<N::kOrder>(0, kernel_, Lanes<T>{}, [&](int j) -> Lanes<T> {
        return Load(conv_weight_.data() + j * padded_channels_ + c) *
               Load(window + j * padded_channels_ + c);
      });
      Store<T>(sum, row + c);
    }
    for (int c = 0; c < channels_; ++c) row[c] = Silu(row[c]);
  }
  taps.Emit("gdn.conv_silu", rows, channels_,
            [&](int r, int c) -> T& { return out[r * padded_channels_ + c]; });
}

// query and key [rows, Hk, Dk], l2-normed (sum of squares, 1e-6 inside the root), query scaled by
// Dk^-1/2; value [rows, Hv, Dv padded].
template <class N>
void GatedDeltaNet<N>::Split(int rows, const LayerTaps& taps, DeltaNetScratch<T>& scratch) const {
  const int key_width = key_heads_ * key_dim_;
  T* query = Grow(scratch.query, static_cast<size_t>(rows) * key_width);
  T* key = Grow(scratch.key, static_cast<size_t>(rows) * key_width);
  T* value = Grow(scratch.value, static_cast<size_t>(rows) * value_heads_ * padded_value_dim_);
  const auto normalise = [&](const T* from, T* to) {
    const T inverse = InverseNorm<N>(from, key_dim_, T{1}, static_cast<T>(1e-6));
    for (int i = 0; i < key_dim_; ++i) to[i] = from[i] * inverse;
  };
  for (int r = 0; r < rows; ++r) {
    const T* from = scratch.conv.data() + static_cast<size_t>(r) * padded_channels_;
    const size_t to = static_cast<size_t>(r) * key_width;
    for (int offset = 0; offset < key_width; offset += key_dim_) {
      normalise(from + offset, query + to + offset);
      normalise(from + key_width + offset, key + to + offset);
    }
    for (int h = 0; h < value_heads_; ++h, value += padded_value_dim_) {
      std::copy_n(from + 2 * key_width + h * value_dim_, value_dim_, value);
    }
  }
  TapSplit(rows, taps, scratch);
  const T scale = T{1} / std::sqrt(static_cast<T>(key_dim_));
  for (int i = 0; i < rows * key_width; ++i) query[i] *= scale;
}

template <class N>
void GatedDeltaNet<N>::TapSplit(int rows, const LayerTaps& taps,
                                const DeltaNetScratch<T>& scratch) const {
  const int key_width = key_heads_ * key_dim_;
  const int repeat = value_heads_ / key_heads_;
  const auto slice = [&](int offset, int dim) {
    return [=, this, &scratch](int r, int h, int i) {
      const T* row = scratch.conv.data() + static_cast<size_t>(r) * padded_channels_;
      return row[offset + h * dim + i];
    };
  };
  const auto repeated = [&](const std::vector<T>& heads) {
    return [=, this, &heads](int h, int r, int i) {
      const T* row = heads.data() + static_cast<size_t>(r) * key_width;
      return row[h / repeat * key_dim_ + i];
    };
  };
  taps.Emit("gdn.q_conv", rows, key_heads_, key_dim_, slice(0, key_dim_));
  taps.Emit("gdn.k_conv", rows, key_heads_, key_dim_, slice(key_width, key_dim_));
  taps.Emit("gdn.v", rows, value_heads_, value_dim_, slice(2 * key_width, value_dim_));
  taps.Emit("gdn.q_hat", value_heads_, rows, key_dim_, repeated(scratch.query));
  taps.Emit("gdn.k_hat", value_heads_, rows, key_dim_, repeated(scratch.key));
}

// g = −exp(A_log) · softplus(a + dt_bias) and β = σ(b), both [rows, Hv], indexed by value head.
template <class N>
void GatedDeltaNet<N>::Gates(int rows, const LayerTaps& taps, DeltaNetScratch<T>& scratch) const {
  T* log_decay = Grow(scratch.log_decay, static_cast<size_t>(rows) * value_heads_);
  T* beta = Grow(scratch.beta, static_cast<size_t>(rows) * value_heads_);
  for (int r = 0; r < rows; ++r) {
    for (int h = 0; h < value_heads_; ++h) {
      const size_t i = static_cast<size_t>(r) * value_heads_ + h;
      log_decay[i] = negative_decay_[h] * Softplus(scratch.a[i] + dt_bias_[h]);
      beta[i] = Sigmoid(scratch.b[i]);
    }
  }
  taps.EmitMatrix("gdn.g", rows, value_heads_, log_decay);
  taps.EmitMatrix("gdn.beta", rows, value_heads_, beta);
}

template <class N>
void GatedDeltaNet<N>::RunRule(int rows, DeltaRule rule, const LayerTaps& taps,
                               DeltaNetState<T>& state, DeltaNetScratch<T>& scratch) const {
  const int key_width = key_heads_ * key_dim_;
  const int value_width = value_heads_ * padded_value_dim_;
  T* output = Grow(scratch.output, static_cast<size_t>(rows) * value_width);
  for (int h = 0; h < value_heads_; ++h) {
    // Shared heads repeat: value head h uses key head h div R.
    const int key_offset = h / (value_heads_ / key_heads_) * key_dim_;
    const int value_offset = h * padded_value_dim_;
    const DeltaHead<T> head{
        rows,
        key_dim_,
        padded_value_dim_,
        {scratch.query.data() + key_offset, key_width},
        {scratch.key.data() + key_offset, key_width},
        {scratch.value.data() + value_offset, value_width},
        {scratch.log_decay.data() + h, value_heads_},
        {scratch.beta.data() + h, value_heads_},
        {output + value_offset, value_width},
        state.recurrent.data() + static_cast<size_t>(h) * key_dim_ * padded_value_dim_};
    if (rule == DeltaRule::kChunked) {
      DeltaRules<N>::RunChunked(head, scratch.chunk);
    } else {
      DeltaRules<N>::RunRecurrent(head);
    }
  }
  taps.Emit("gdn.o", rows, value_heads_, value_dim_, [&](int r, int h, int i) -> T& {
    return output[r * value_width + h * padded_value_dim_ + i];
  });
}

// normed [rows, Hv·Dv] = (w ⊙ o · rsqrt(mean o² + ε)) ⊙ silu(z), per value head; w is plain here.
template <class N>
void GatedDeltaNet<N>::GatedNorm(int rows, DeltaNetScratch<T>& scratch) const {
  T* normed = Grow(scratch.normed, static_cast<size_t>(rows) * value_heads_ * value_dim_);
  for (int r = 0; r < rows * value_heads_; ++r) {
    const T* output = scratch.output.data() + static_cast<size_t>(r) * padded_value_dim_;
    const size_t first = static_cast<size_t>(r) * value_dim_;
    const T inverse = InverseNorm<N>(output, value_dim_, static_cast<T>(value_dim_), eps_);
    for (int i = 0; i < value_dim_; ++i) {
      normed[first + i] = output[i] * inverse * norm_weight_[i] * Silu(scratch.z[first + i]);
    }
  }
}

template <class N>
std::vector<double> GatedDeltaNet<N>::Recurrent(const DeltaNetState<T>& state) const {
  std::vector<double> all;
  for (int row = 0; row < value_heads_ * key_dim_; ++row) {
    const T* from = state.recurrent.data() + static_cast<size_t>(row) * padded_value_dim_;
    all.insert(all.end(), from, from + value_dim_);
  }
  return all;
}

template <class N>
std::vector<double> GatedDeltaNet<N>::Conv(const DeltaNetState<T>& state) const {
  std::vector<double> all;
  for (int c = 0; c < channels_; ++c) {
    for (int j = 0; j < kernel_; ++j) all.push_back(state.conv[j * padded_channels_ + c]);
  }
  return all;
}

CROSSCHECK_INSTANTIATE_FOR_ALL_NUMERICS(GatedDeltaNet);

}  // namespace crosscheck::exact
