#include "reference/weights.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "reference/nudge.h"
#include "reference/quantisation/weight_format.h"

namespace crosscheck {
namespace {

// Fixed point of all arithmetic below: a value is an integer times 2^-40, below 2^53 so that every
// step is exact until the one rounding to float32.
constexpr int kFractionBits = 40;

int64_t FixedPoint(int64_t thousandths) { return (thousandths << kFractionBits) / 1000; }

uint64_t IntegerSquareRoot(uint64_t x) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 31; bit != 0; bit >>= 1) {
    if ((root + bit) * (root + bit) <= x) root += bit;
  }
  return root;
}

// Sum of four 16-bit pieces minus its mean: approximately normal with deviation 2^16/sqrt(3), at
// most 3.46 deviations.
int64_t CentredSum(uint64_t bits) {
  const uint64_t pairs = (bits & 0x0000FFFF0000FFFFU) + ((bits >> 16) & 0x0000FFFF0000FFFFU);
  return static_cast<int64_t>((pairs & 0xFFFFFFFFU) + (pairs >> 32)) - int64_t{2 * 0xFFFF};
}

// What a value of one tensor is drawn from: mean + CentredSum * multiplier, all times 2^-40.
struct Distribution {
  int64_t mean = 0;
  int64_t multiplier = 0;
};

// Deviation gain/256/sqrt(fan_in). 113512/2^16 is sqrt(3), the inverse deviation of CentredSum
// times 2^16.
Distribution Normal(int64_t mean, uint64_t gain, uint64_t fan_in) {
  const uint64_t inverse_root =
      IntegerSquareRoot((uint64_t{1} << 46) / fan_in);  // 2^23/sqrt(fan_in)
  return {mean, static_cast<int64_t>((gain * inverse_root * 113512) >> 23)};
}

// Norms, conv, A_log and dt_bias are drawn wide, so that a forgotten `1 +`, a wrong index or a
// wrong order is visible.
Distribution DistributionOf(const TensorInfo& info, bool tied) {
  const auto fan_in = static_cast<uint64_t>(info.shape.back());
  switch (info.role) {
    case TensorRole::kEmbedding:
      return Normal(0, tied ? 128 : 256, 1);
    case TensorRole::kHead:
      return Normal(0, 768, fan_in);
    case TensorRole::kProjection:
    case TensorRole::kConv:
      return Normal(0, 256, fan_in);
    case TensorRole::kNorm:  // q_norm and k_norm around 1.3: attention that is sharper than uniform
      return Normal(info.name.find("self_attn") == std::string::npos ? 0 : FixedPoint(300), 51, 1);
    case TensorRole::kRouter:  // far from uniform weights of the chosen experts
      return Normal(0, 512, fan_in);
    case TensorRole::kGatedNorm:
    case TensorRole::kPlainNorm:
      return Normal(FixedPoint(1000), 51, 1);
    case TensorRole::kALog:  // decay rates e^-6.4 .. e^4.4, together with dt_bias from none to
                             // total
      return Normal(FixedPoint(-1000), 400, 1);
    case TensorRole::kDtBias:
      return Normal(FixedPoint(-2000), 384, 1);
  }
  return {};
}

class TensorGenerator {
 public:
  TensorGenerator(const ModelRecipe& recipe, const TensorInfo& info)
      : recipe_(recipe), info_(info), key_(MixBits(recipe.weights.seed ^ HashName(info.name))) {}

  std::vector<float> Generate() const {
    const int64_t columns = info_.shape.back();
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < info_.shape.size(); ++i) rows *= info_.shape[i];
    std::vector<float> values(static_cast<size_t>(rows * columns));
    Draw(rows, columns, values.data());
    ApplyStyle(columns, &values);
    const DType storage = StorageOf(info_.role, recipe_.weights.storage);
    if (storage != DType::kF32) {
      for (float& value : values) value = RoundTo(storage, value);
    }
    if (IsHead()) CoupleHeadRows(rows, columns, &values);
    if (info_.role == TensorRole::kRouter) CoupleRouterRows(rows, columns, &values);
    return values;
  }

 private:
  bool IsHead() const {
    return info_.role == TensorRole::kHead ||
           (recipe_.spec.tied && info_.role == TensorRole::kEmbedding);
  }
  bool IsMatrix() const {
    return info_.role == TensorRole::kProjection || info_.role == TensorRole::kEmbedding ||
           info_.role == TensorRole::kHead || info_.role == TensorRole::kConv ||
           info_.role == TensorRole::kRouter;
  }

  // Element (r, c) depends on r and c alone: a smaller model keeps the leading part of every
  // tensor, up to its scale.
  void Draw(int64_t rows, int64_t columns, float* out) const {
    const Distribution distribution = DistributionOf(info_, recipe_.spec.tied);
    const float unit =
        PowerOfTwo(ScaleExponent() - kFractionBits) * static_cast<float>(LargeFactor());
    for (int64_t r = 0; r < rows; ++r) {
      const uint64_t row_key = key_ + (static_cast<uint64_t>(r) << 32);
      // Vectorised without a 64-bit multiply in the instruction set this takes half as long again.
#pragma clang loop vectorize(disable)
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t sum = CentredSum(MixBits(row_key + static_cast<uint64_t>(c)));
        *out++ = static_cast<float>(distribution.mean + sum * distribution.multiplier) * unit;
      }
    }
  }

  static float PowerOfTwo(int exponent) {
    return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  }

  // "tiny": the residual stream, the queries and keys before their norms and the delta rule's
  // values come near sqrt(1e-6), where every epsilon counts; what each layer adds stays of the same
  // order.
  int ScaleExponent() const {
    if (recipe_.weights.style != WeightStyle::kTiny) return 0;
    if (info_.role == TensorRole::kEmbedding) return -10;
    for (const std::string_view small :
         {"in_proj_qkv.weight", "q_proj.weight", "k_proj.weight", "o_proj.weight",
          "out_proj.weight", "down_proj.weight", "down_proj"}) {
      if (std::string_view(info_.name).ends_with(small)) return -6 - static_cast<int>(key_ % 5);
    }
    return 0;
  }
  // "large": 4 or 8, a power of two, so that scaling rounds nothing.
  int LargeFactor() const {
    if (recipe_.weights.style != WeightStyle::kLarge || !IsMatrix()) return 1;
    return (recipe_.weights.seed & 1) != 0 ? 8 : 4;
  }

  void ApplyStyle(int64_t columns, std::vector<float>* values) const {
    const WeightStyle style = recipe_.weights.style;
    const bool projection = info_.role == TensorRole::kProjection;
    if (style == WeightStyle::kOutlierChannels &&
        (info_.role == TensorRole::kEmbedding || (projection && key_ % 4 == 0))) {
      const int64_t count = 1 + columns / 32;
      for (int64_t i = 0; i < count; ++i) {
        const auto column = static_cast<size_t>(MixBits(key_ ^ static_cast<uint64_t>(i)) %
                                                static_cast<uint64_t>(columns));
        for (size_t at = column; at < values->size(); at += static_cast<size_t>(columns)) {
          (*values)[at] *= 32;
        }
      }
    }
    if (style == WeightStyle::kTiny && projection) {
      // Bits, not arithmetic: no flush-to-zero mode can change a subnormal that is never computed.
      for (size_t at = key_ % 61; at < values->size(); at += 61) {
        const uint64_t bits = MixBits(key_ ^ (at << 8));
        (*values)[at] = std::bit_cast<float>(static_cast<uint32_t>(bits & 0x807FFFFFU));
      }
    }
  }

  static float RoundTo(DType storage, float value) {
    if (storage == DType::kF32) return value;
    return storage == DType::kBF16 ? DecodeBF16(EncodeBF16(value)) : DecodeF16(EncodeF16(value));
  }

  void CoupleHeadRows(int64_t rows, int64_t columns, std::vector<float>* values) const {
    const WeightStyle style = recipe_.weights.style;
    if (style != WeightStyle::kNearTiedHead && style != WeightStyle::kTiedHeadRows) return;
    CoupleRows(style == WeightStyle::kNearTiedHead, rows, columns, values);
  }
  void CoupleRouterRows(int64_t rows, int64_t columns, std::vector<float>* values) const {
    const RouterStyle style = recipe_.weights.router;
    if (style == RouterStyle::kPlain) return;
    CoupleRows(style == RouterStyle::kNearTied, rows, columns, values);
  }

  // Row i + n/2 repeats row i for half of the pairs: bit-equal, or with one element off by 2^-k of
  // itself.
  void CoupleRows(bool nearly, int64_t rows, int64_t columns, std::vector<float>* values) const {
    const int64_t half = rows / 2;
    for (int64_t i = 0; i < half; ++i) {
      const uint64_t bits = MixBits(~key_ + static_cast<uint64_t>(i));
      if ((bits & 1) == 0) continue;
      const float* source = values->data() + i * columns;
      float* copy = values->data() + (i + half) * columns;
      std::memcpy(copy, source, static_cast<size_t>(columns) * sizeof(float));
      if (nearly) Nudge(bits >> 1, columns, copy);
    }
  }

  // Moves one element by 2^-k of itself, k from 4 to one less than the precision of the storage.
  void Nudge(uint64_t bits, int64_t columns, float* row) const {
    const DType storage = recipe_.weights.storage;
    const int precision = storage == DType::kF32 ? 23 : storage == DType::kF16 ? 10 : 7;
    const int k = 4 + static_cast<int>((bits >> 32) % static_cast<uint64_t>(precision - 4));
    float& element = row[bits % static_cast<uint64_t>(columns)];
    const auto pattern = std::bit_cast<uint32_t>(element);
    // On the mantissa: its leading one weighs 2^23, so 2^(23-k) is between 2^-k and 2^-k-1 of the
    // element.
    element = RoundTo(storage, std::bit_cast<float>(pattern ^ (uint32_t{1} << (23 - k))));
  }

  const ModelRecipe& recipe_;
  const TensorInfo& info_;
  uint64_t key_;
};

}  // namespace

DType StorageOf(TensorRole role, DType storage) {
  return role == TensorRole::kALog || role == TensorRole::kGatedNorm ? DType::kF32 : storage;
}

absl::Span<const float> Model::Get(std::string_view name) const {
  const bool is_head = name == "lm_head.weight";
  if (is_head && !head.empty()) return head;
  if (is_head && spec.tied) name = "embed_tokens.weight";
  const std::string_view prefix = TraitsOf(spec.family).prefix;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string_view full = tensors[i].name;
    const bool prefixed =
        full.size() == name.size() + prefix.size() && full.substr(prefix.size()) == name;
    if (prefixed || full == name) return values[i];
  }
  std::fprintf(stderr, "crosscheck: the model has no tensor %.*s\n", static_cast<int>(name.size()),
               name.data());
  std::abort();
}

Projection Model::GetProjection(std::string_view name) const {
  Projection projection{.values = Get(name), .activations = activations, .update = nullptr};
  for (const LowRankUpdate& update : updates) {
    const std::string_view full = update.name;
    const std::string_view prefix = TraitsOf(spec.family).prefix;
    if (full.starts_with(prefix) && full.substr(prefix.size()) == name) {
      projection.update = &update;
    }
  }
  return projection;
}

// Zeros stay zero. The bits of finite floats of one sign are in the order of their magnitudes.
static void Nudge(uint64_t key, std::vector<float>& values) {
  for (float& value : values) {
    key = MixBits(key);
    if (value == 0) continue;
    const int32_t step = static_cast<int32_t>(key % 3) - 1;
    value = std::bit_cast<float>(std::bit_cast<int32_t>(value) + step);
  }
}

// The checkpoint of a merged adapter is float32 whatever the storage of the weights was.
static void Merge(Model& model) {
  model.storage = DType::kF32;
  for (const LowRankUpdate& update : model.updates) {
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      if (model.tensors[i].name != update.name) continue;
      for (size_t at = 0; at < model.values[i].size(); ++at) {
        const auto row = static_cast<int64_t>(at) / update.in;
        const auto column = static_cast<int64_t>(at) % update.in;
        float& weight = model.values[i][at];
        weight = static_cast<float>(weight + update.At(row, column));
      }
    }
  }
  model.updates.clear();
}

Model GenerateModel(const ModelRecipe& recipe) {
  Model model;
  model.spec = recipe.spec;
  model.storage = recipe.weights.storage;
  model.tensors = Tensors(recipe.spec);
  model.values.reserve(model.tensors.size());
  for (const TensorInfo& info : model.tensors) {
    model.values.push_back(TensorGenerator(recipe, info).Generate());
  }
  if (absl::Status served = ServeAs(recipe.serving.format, model); !served.ok()) {
    std::fprintf(stderr, "crosscheck: %s\n", served.ToString().c_str());
    std::abort();
  }
  if (recipe.serving.adapter.rank > 0) {
    model.updates = GenerateAdapter(recipe.spec, recipe.serving.adapter);
    if (recipe.serving.merged) Merge(model);
  }
  // After decoding: a nudge stands for rounding and must not change what a format loses.
  NudgeWeights(recipe.weights.nudge, model);
  ApplyTransform(recipe.transform, model);
  for (const ZeroedBlock& zeroed : recipe.zeroed) ZeroBlock(zeroed, model);
  return model;
}

void NudgeWeights(int nudge, Model& model) {
  if (nudge == 0) return;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    Nudge(MixBits(nudge) ^ HashName(model.tensors[i].name), model.values[i]);
  }
  Nudge(MixBits(nudge) ^ HashName("lm_head.weight"), model.head);
}

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014) after one step of its counter.
uint64_t MixBits(uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

uint64_t HashName(std::string_view name) {
  uint64_t hash = name.size();
  for (size_t at = 0; at < name.size(); at += 8) {
    uint64_t piece = 0;
    std::memcpy(&piece, name.data() + at, std::min<size_t>(8, name.size() - at));
    hash = MixBits(hash ^ piece);
  }
  return hash;
}

}  // namespace crosscheck
