#include "properties/visitors/architecture.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "properties/fields.h"

namespace crosscheck {
namespace {

// The shortest prefix whose repetition gives the layers.
size_t Period(const std::vector<LayerKind>& layers) {
  for (size_t period = 1; period < layers.size(); ++period) {
    bool repeats = true;
    for (size_t i = period; i < layers.size(); ++i) repeats &= layers[i] == layers[i - period];
    if (repeats) return period;
  }
  return layers.size();
}

int64_t Scaled(int64_t value, int64_t numerator, int64_t denominator) {
  return std::llround(static_cast<double>(value) * static_cast<double>(numerator) /
                      static_cast<double>(denominator));
}

class ArchitectureVisitor final : public FieldVisitor {
 public:
  ArchitectureVisitor(const ModelSpec& like, const Limits& limits) : like_(like), limits_(limits) {}

 protected:
  uint64_t Scalar(const ScalarField& field, uint64_t index) override {
    if (groups_in_model_ == 0) return index;
    const uint64_t chosen = Choose(field, index);
    int64_t value = 0;
    if (absl::SimpleAtoi(field.Print(chosen), &value)) drawn_[std::string(field.name)] = value;
    return chosen;
  }
  ListPlan BeginList(const ListField& field) override {
    size_t length = field.size;
    if (groups_in_model_ > 0 && field.name == "layers") {
      length = std::min(std::max(length, Period(like_.layers)), field.range.max);
    }
    return {.length = length};
  }
  void BeginElement(const ListField&, size_t element) override { element_ = element; }
  void BeginGroup(std::string_view name, bool) override {
    if (groups_in_model_ > 0 || name == "model") ++groups_in_model_;
  }
  void EndGroup() override {
    if (groups_in_model_ > 0) --groups_in_model_;
  }

 private:
  uint64_t Choose(const ScalarField& field, uint64_t index) const {
    const std::string_view name = field.name;
    if (name == "family")
      return Named(field, kFamilyNames[static_cast<size_t>(like_.family)], index);
    if (name == "kind") {
      const LayerKind kind = like_.layers[element_ % like_.layers.size()];
      return Named(field, kLayerKindNames[static_cast<size_t>(kind)], index);
    }
    if (name == "tied") return Named(field, kBoolNames[like_.tied ? 1 : 0], index);
    if (name == "rms_eps") return Nearest(field, like_.rms_eps, index);
    if (name == "rope_theta") return Nearest(field, like_.rope_theta, index);
    const int64_t wanted = WantedSize(name, field, index);
    return wanted < 0 ? index : AtMost(field, wanted, index);
  }

  // -1: as drawn.
  int64_t WantedSize(std::string_view name, const ScalarField& field, uint64_t index) const {
    const auto drawn = [this](const char* earlier) { return drawn_.at(earlier); };
    int64_t own = 0;
    if (!absl::SimpleAtoi(field.Print(index), &own)) return -1;
    if (name == "hidden") {  // wide enough for a head_dim of two
      return std::max<int64_t>(
          own, std::min(Scaled(2, like_.hidden, like_.head_dim), int64_t{limits_.max_hidden}));
    }
    if (name == "intermediate") return Scaled(drawn("hidden"), like_.intermediate, like_.hidden);
    if (name == "kv_heads") return RoomFor(own, like_.heads / like_.kv_heads);
    if (name == "heads") return drawn("kv_heads") * (like_.heads / like_.kv_heads);
    if (name == "head_dim") return Scaled(drawn("hidden"), like_.head_dim, like_.hidden);
    if (name == "rotary_dim") return Scaled(drawn("head_dim"), like_.rotary_dim, like_.head_dim);
    if (!HasLinear()) return -1;
    const int value_heads = like_.linear_value_heads / like_.linear_key_heads;
    if (name == "linear_key_heads") return RoomFor(own, value_heads);
    if (name == "linear_value_heads") return drawn("linear_key_heads") * value_heads;
    if (name == "linear_key_dim") {
      return Scaled(drawn("head_dim"), like_.linear_key_dim, like_.head_dim);
    }
    if (name == "linear_value_dim") {
      return Scaled(drawn("linear_key_dim"), like_.linear_value_dim, like_.linear_key_dim);
    }
    return name == "conv_kernel" ? like_.conv_kernel : -1;
  }

  bool HasLinear() const {
    return std::find(like_.layers.begin(), like_.layers.end(), LayerKind::kLinearAttention) !=
           like_.layers.end();
  }

  // Groups of heads of which there can be `per_group` times as many.
  int64_t RoomFor(int64_t groups, int per_group) const {
    return std::clamp<int64_t>(groups, 1, std::max(limits_.max_heads / per_group, 1));
  }

  static uint64_t Named(const ScalarField& field, std::string_view value, uint64_t otherwise) {
    return field.Parse(value).value_or(otherwise);
  }

  // The largest legal value up to `wanted`, else the smallest legal one.
  static uint64_t AtMost(const ScalarField& field, int64_t wanted, uint64_t otherwise) {
    for (int64_t value = wanted; value >= 0; --value) {
      if (const auto found = field.Parse(absl::StrCat(value))) return *found;
    }
    return field.max_index == 0 ? otherwise : 0;
  }

  static uint64_t Nearest(const ScalarField& field, double wanted, uint64_t otherwise) {
    uint64_t best = otherwise;
    double smallest = HUGE_VAL;
    for (uint64_t i = 0; i <= field.max_index; ++i) {
      double value = 0;
      if (!absl::SimpleAtod(field.Print(i), &value) || value <= 0) continue;
      const double distance = std::abs(std::log(value / wanted));
      if (distance < smallest) {
        smallest = distance;
        best = i;
      }
    }
    return best;
  }

  const ModelSpec& like_;
  const Limits& limits_;
  std::map<std::string, int64_t> drawn_;
  size_t element_ = 0;
  int groups_in_model_ = 0;
};

std::string Ratio(int64_t a, int64_t b) {
  const int64_t common = std::max<int64_t>(std::gcd(a, b), 1);
  return absl::StrCat(a / common, ":", b / common);
}

}  // namespace

Case WithArchitecture(const Case& c, const ModelSpec& like, const Limits& limits) {
  ArchitectureVisitor visitor(like, limits);
  return c.subject().visit(c, visitor, limits);
}

std::vector<std::pair<std::string, std::string>> DescribeArchitecture(const ModelSpec& like) {
  std::vector<std::string> kinds;
  kinds.reserve(Period(like.layers));
  for (size_t i = 0; i < Period(like.layers); ++i) {
    kinds.emplace_back(kLayerKindNames[static_cast<size_t>(like.layers[i])]);
  }
  return {{"family", std::string(kFamilyNames[static_cast<size_t>(like.family)])},
          {"layers", absl::StrJoin(kinds, " ")},
          {"heads:kv_heads", Ratio(like.heads, like.kv_heads)},
          {"value_heads:key_heads", Ratio(like.linear_value_heads, like.linear_key_heads)},
          {"hidden:head_dim", Ratio(like.hidden, like.head_dim)},
          {"intermediate:hidden", Ratio(like.intermediate, like.hidden)},
          {"rotary_dim:head_dim", Ratio(like.rotary_dim, like.head_dim)},
          {"linear_key_dim:head_dim", Ratio(like.linear_key_dim, like.head_dim)},
          {"linear_value_dim:linear_key_dim", Ratio(like.linear_value_dim, like.linear_key_dim)},
          {"conv_kernel", absl::StrCat(like.conv_kernel)},
          {"tied", like.tied ? "true" : "false"},
          {"rms_eps", absl::StrCat(like.rms_eps)},
          {"rope_theta", absl::StrCat(like.rope_theta)}};
}

}  // namespace crosscheck
