#include "reference/quantisation/quarot.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15U;

// In place, natural order, scaled by 1/sqrt(size).
void WalshHadamard(absl::Span<double> vector) {
  for (size_t half = 1; half < vector.size(); half *= 2) {
    for (size_t begin = 0; begin < vector.size(); begin += 2 * half) {
      for (size_t i = begin; i < begin + half; ++i) {
        const double sum = vector[i] + vector[i + half];
        vector[i + half] = vector[i] - vector[i + half];
        vector[i] = sum;
      }
    }
  }
  const double scale = 1 / std::sqrt(static_cast<double>(vector.size()));
  for (double& value : vector) value *= scale;
}

// What a matrix has to do with the residual stream.
enum class Side { kNone, kReadsAttentionNorm, kReadsMlpNorm, kReadsFinalNorm, kReadsRows, kWrites };

bool EndsWithAny(const std::string& name, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](const char* ending) { return absl::EndsWith(name, ending); });
}

Side SideOf(const TensorInfo& info) {
  if (info.role == TensorRole::kEmbedding) return Side::kReadsRows;
  if (info.role == TensorRole::kHead) return Side::kReadsFinalNorm;
  if (info.role == TensorRole::kRouter) return Side::kReadsMlpNorm;
  if (info.role != TensorRole::kProjection) return Side::kNone;
  if (EndsWithAny(info.name,
                  {".o_proj.weight", ".out_proj.weight", ".down_proj.weight", ".down_proj"})) {
    return Side::kWrites;
  }
  return absl::StrContains(info.name, ".mlp.") ? Side::kReadsMlpNorm : Side::kReadsAttentionNorm;
}

// The norm whose output the matrix reads; empty for none.
std::string NormOf(Side side, const TensorInfo& info, std::string_view prefix) {
  const std::string layer = absl::StrCat(std::string(prefix), "layers.", info.layer, ".");
  if (side == Side::kReadsAttentionNorm) return layer + "input_layernorm.weight";
  if (side == Side::kReadsMlpNorm) return layer + "post_attention_layernorm.weight";
  if (side == Side::kReadsFinalNorm) return std::string(prefix) + "norm.weight";
  return "";
}

size_t IndexOf(const Model& model, const std::string& name) {
  const auto found = std::find_if(model.tensors.begin(), model.tensors.end(),
                                  [&](const TensorInfo& info) { return info.name == name; });
  return static_cast<size_t>(found - model.tensors.begin());
}

// What a norm multiplies with.
std::vector<double> NormGains(const TensorInfo& info, const std::vector<float>& values) {
  std::vector<double> gains(values.begin(), values.end());
  if (info.role == TensorRole::kNorm) {
    for (double& gain : gains) gain += 1;
  }
  return gains;
}

// Every row w becomes R (gains * w): W diag(gains) Rᵀ.
void TurnRows(const RandomizedHadamard& rotation, absl::Span<const double> gains,
              std::vector<float>& values) {
  const size_t size = rotation.signs().size();
  std::vector<double> row(size);
  for (size_t at = 0; at < values.size(); at += size) {
    for (size_t i = 0; i < size; ++i) {
      row[i] = values[at + i] * (gains.empty() ? 1 : gains[i]);
    }
    rotation.Apply(absl::MakeSpan(row));
    for (size_t i = 0; i < size; ++i) values[at + i] = static_cast<float>(row[i]);
  }
}

// Every matrix [size, columns] in `values` becomes R W.
void TurnColumns(const RandomizedHadamard& rotation, size_t columns, std::vector<float>& values) {
  const size_t size = rotation.signs().size();
  std::vector<double> column(size);
  for (size_t matrix = 0; matrix < values.size(); matrix += size * columns) {
    for (size_t c = 0; c < columns; ++c) {
      for (size_t i = 0; i < size; ++i) column[i] = values[matrix + i * columns + c];
      rotation.Apply(absl::MakeSpan(column));
      for (size_t i = 0; i < size; ++i) {
        values[matrix + i * columns + c] = static_cast<float>(column[i]);
      }
    }
  }
}

}  // namespace

absl::StatusOr<RandomizedHadamard> RandomizedHadamard::Create(uint64_t seed, int64_t size) {
  if (size <= 0 || !std::has_single_bit(static_cast<uint64_t>(size))) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Hadamard rotation needs a power of two; the size is ", size));
  }
  std::vector<double> signs(static_cast<size_t>(size));
  // The state of element i is seed + (i + 2) * gamma; MixBits adds one gamma itself.
  for (size_t i = 0; i < signs.size(); ++i) {
    signs[i] = (MixBits(seed + (i + 1) * kGoldenGamma) & 1) == 0 ? 1 : -1;
  }
  return RandomizedHadamard(std::move(signs));
}

void RandomizedHadamard::Apply(absl::Span<double> vector) const {
  for (size_t i = 0; i < signs_.size(); ++i) vector[i] *= signs_[i];
  WalshHadamard(vector);
}

void RandomizedHadamard::ApplyInverse(absl::Span<double> vector) const {
  WalshHadamard(vector);
  for (size_t i = 0; i < signs_.size(); ++i) vector[i] *= signs_[i];
}

void Untie(Model& model) {
  if (!model.spec.tied) return;
  const absl::Span<const float> head = model.Get("lm_head.weight");
  model.values.emplace_back(head.begin(), head.end());
  model.spec.tied = false;
  model.tensors = Tensors(model.spec);
  model.head.clear();
}

absl::Status FuseQuarot(uint64_t seed, Model& model) {
  const auto rotation = RandomizedHadamard::Create(seed, model.spec.hidden);
  if (!rotation.ok()) return rotation.status();
  Untie(model);
  model.storage = DType::kF32;
  const std::string_view prefix = TraitsOf(model.spec.family).prefix;
  std::vector<size_t> fused;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const TensorInfo& info = model.tensors[i];
    const Side side = SideOf(info);
    if (side == Side::kNone) continue;
    if (side == Side::kWrites) {
      TurnColumns(*rotation, static_cast<size_t>(info.shape.back()), model.values[i]);
      continue;
    }
    std::vector<double> gains;
    if (const std::string norm = NormOf(side, info, prefix); !norm.empty()) {
      const size_t at = IndexOf(model, norm);
      gains = NormGains(model.tensors[at], model.values[at]);
      fused.push_back(at);
    }
    TurnRows(*rotation, gains, model.values[i]);
  }
  for (const size_t at : fused) {
    const float one = model.tensors[at].role == TensorRole::kNorm ? 0 : 1;
    std::fill(model.values[at].begin(), model.values[at].end(), one);
  }
  return absl::OkStatus();
}

}  // namespace crosscheck
