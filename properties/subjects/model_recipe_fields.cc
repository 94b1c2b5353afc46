#include "properties/subjects/model_recipe_fields.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

constexpr double kEpsilons[] = {1e-6, 1e-5, 1e-3, 1e-12};
constexpr double kThetas[] = {1e4, 1e7, 1e6, 100.0};

void VisitLayers(FieldVisitor& v, const Limits& limits, ModelSpec& spec) {
  using enum LayerKind;
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(limits.max_layers),
                        .typical = 3,
                        .interesting = {2, 3, 4},
                        .phase = ShrinkPhase::kDimensions};
  static constexpr LayerKind kFullOnly[] = {kFullAttention};
  const bool full_only = !TraitsOf(spec.family).linear_attention;
  v.List("layers", spec.layers, range, [&spec, full_only](FieldVisitor& e, LayerKind& kind) {
    if (full_only) {
      e.Enum("kind", kind, kLayerKindNames, {.values = kFullOnly});
      return;
    }
    const bool after_linear = &kind != spec.layers.data() && *(&kind - 1) == kLinearAttention;
    e.Enum("kind", kind, kLayerKindNames,
           {.interesting = {after_linear ? kFullAttention : kLinearAttention}});
  });
}

bool Has(uint32_t families, Family family) {
  return (families >> static_cast<uint32_t>(family) & 1) != 0;
}

void VisitFamily(FieldVisitor& v, uint32_t families, ModelSpec& spec) {
  std::array<Family, std::size(kFamilyNames)> served{};
  size_t count = 0;
  for (size_t i = 0; i < served.size(); ++i) {
    const auto family = static_cast<Family>(i);
    if (Has(families, family)) served[count++] = family;
  }
  v.Enum("family", spec.family, kFamilyNames,
         {.values = served, .count = std::max<size_t>(count, 1), .interesting = {Family::kQwen35}});
  const bool mixture = TraitsOf(spec.family).mixture;
  for (int* size : {&spec.experts, &spec.experts_per_token, &spec.shared_intermediate}) {
    *size = mixture ? std::max(*size, 1) : 0;
  }
}

// The step of a dimension of which `copies` lie side by side in rows of whole blocks.
int StepOf(int input_step, int copies) { return input_step / std::gcd(input_step, copies); }

// Room for rows of more than one block, also where the limits hold fewer.
int64_t Widest(int64_t limit, int largest_step) {
  return largest_step == 1 ? limit : std::max<int64_t>(limit, int64_t{3} * largest_step);
}

void VisitAttention(FieldVisitor& v, const Limits& limits, const RecipeRange& range,
                    ModelSpec& spec) {
  v.Int("kv_heads", spec.kv_heads,
        {.lo = 1, .hi = limits.max_heads, .typical = 2, .interesting = {1, 1, 2, 3}});
  v.Int("heads", spec.heads,
        {.lo = spec.kv_heads,
         .hi = limits.max_heads,
         .step = spec.kv_heads,
         .interesting = {3, 5, 2 * spec.kv_heads, 2 * spec.kv_heads, 3 * spec.kv_heads}});
  const bool partial = TraitsOf(spec.family).partial_rotary;
  const int head_step = StepOf(range.input_step, spec.heads);
  v.Int("head_dim", spec.head_dim,
        {.lo = std::max(2, head_step),
         .hi = std::max(limits.max_head_dim, range.largest_input_step),
         .step = std::lcm(head_step, partial ? 1 : 2),
         .typical = 16,
         .interesting = {3, 4, 6, 8, 9, 16}});
  v.Int("rotary_dim", spec.rotary_dim,
        {.lo = partial ? 2 : spec.head_dim,
         .hi = spec.head_dim,
         .step = 2,
         .interesting = {spec.head_dim / 4, spec.head_dim / 2, 6}});
}

void VisitLinearAttention(FieldVisitor& v, const Limits& limits, const RecipeRange& range,
                          ModelSpec& spec) {
  const bool used = TraitsOf(spec.family).linear_attention;
  const int max_heads = used ? limits.max_heads : 1;
  const int max_dim = used ? limits.max_head_dim : 1;
  v.Int("linear_key_heads", spec.linear_key_heads,
        {.lo = 1, .hi = max_heads, .typical = 2, .interesting = {1, 1, 2, 2, 3}});
  const int key_heads = spec.linear_key_heads;
  v.Int(
      "linear_value_heads", spec.linear_value_heads,
      {.lo = key_heads,
       .hi = max_heads,
       .step = key_heads,
       .interesting = {2 * key_heads, 2 * key_heads, 2 * key_heads, 3 * key_heads, 3 * key_heads}});
  v.Int("linear_key_dim", spec.linear_key_dim,
        {.lo = 1, .hi = max_dim, .typical = 12, .interesting = {3, 4, 5, 8, 16}});
  const int value_step = StepOf(range.input_step, spec.linear_value_heads);
  v.Int("linear_value_dim", spec.linear_value_dim,
        {.lo = value_step,
         .hi = used ? std::max(max_dim, range.largest_input_step) : 1,
         .step = value_step,
         .typical = 12,
         .interesting = {3, 4, 5, 8, 16}});
  v.Int("conv_kernel", spec.conv_kernel,
        {.lo = 1, .hi = used ? limits.max_conv_kernel : 1, .interesting = {4, 4}});
}

}  // namespace

int64_t MultiplyAddsPerToken(const ModelSpec& spec) {
  const int64_t hidden = spec.hidden;
  const int64_t query = int64_t{spec.heads} * spec.head_dim,
                key = int64_t{spec.kv_heads} * spec.head_dim;
  const int64_t value_channels = int64_t{spec.linear_value_heads} * spec.linear_value_dim;
  const int64_t full = hidden * (3 * query + 2 * key) + 64 * 2 * query;
  const int64_t linear =
      hidden * (spec.conv_channels() + 2 * value_channels + 2 * int64_t{spec.linear_value_heads}) +
      int64_t{spec.conv_channels()} * spec.conv_kernel + 4 * value_channels * spec.linear_key_dim;
  // Of a mixture: what the generator draws at most in the usual case, as sizes are drawn first.
  const int64_t feed_forward = TraitsOf(spec.family).mixture
                                   ? 4 * 3 * hidden * spec.intermediate + 8 * hidden
                                   : 3 * hidden * spec.intermediate;
  int64_t total = int64_t{spec.vocab} * hidden;
  for (const LayerKind kind : spec.layers) {
    total += feed_forward + (kind == LayerKind::kFullAttention ? full : linear);
  }
  return total;
}

void VisitModelRecipe(FieldVisitor& v, const Limits& limits, ModelRecipe& model, uint32_t families,
                      const RecipeRange& range) {
  ModelSpec& spec = model.spec;
  VisitFamily(v, limits.families & families, spec);
  VisitLayers(v, limits, spec);
  v.Int("vocab", spec.vocab,
        {.lo = 2, .hi = limits.max_vocab, .typical = 64, .interesting = {3, 17, 31, 32, 33}});
  v.Int("hidden", spec.hidden,
        {.lo = range.input_step,
         .hi = Widest(limits.max_hidden, range.largest_input_step),
         .step = range.input_step,
         .typical = 32,
         .interesting = {4, 7, 8, 9, 16, 20, 31}});
  v.Int("intermediate", spec.intermediate,
        {.lo = range.input_step,
         .hi = Widest(limits.max_intermediate, range.largest_input_step),
         .step = range.input_step,
         .typical = 40,
         .interesting = {3, 8, 15, 16, 17, 33}});
  VisitAttention(v, limits, range, spec);
  VisitLinearAttention(v, limits, range, spec);
  v.Bool("tied", spec.tied,
         {.count = Has(limits.tied_families, spec.family) ? 2u : 1u,
          .interesting = {range.often_tied}});
  v.Table("rms_eps", spec.rms_eps, kEpsilons);
  v.Table("rope_theta", spec.rope_theta, kThetas);
  v.Int("max_positions", spec.max_positions,
        {.lo = 1,
         .hi = limits.max_positions,
         .interesting = {16, 32, 64, 65, 128, 129, 200, 256},
         .phase = ShrinkPhase::kLength});
  v.Int("eos", spec.eos,
        {.lo = 0, .hi = spec.vocab - 1, .descending = true, .phase = ShrinkPhase::kConfiguration});
  v.Group("weights", [&] {
    v.U64("seed", model.weights.seed);
    v.Enum("style", model.weights.style, kWeightStyleNames);
    v.Enum("storage", model.weights.storage, kDTypeNames,
           {.values = {DType::kF32, DType::kBF16, DType::kF16},
            .count = limits.reduced_storage ? 3u : 1u,
            .typical = 1,
            .interesting = {DType::kF32, DType::kBF16, DType::kBF16, DType::kF16, DType::kF16}});
  });
}

void VisitMixture(FieldVisitor& v, const Limits& limits, ModelRecipe& model) {
  ModelSpec& spec = model.spec;
  const bool mixture = TraitsOf(spec.family).mixture;
  const int lo = mixture ? 1 : 0;
  v.Int("experts", spec.experts,
        {.lo = lo, .hi = mixture ? limits.max_experts : 0, .interesting = {3, 5, 5, 7, 7}});
  v.Int("experts_per_token", spec.experts_per_token,
        {.lo = lo,
         .hi = spec.experts,
         .typical = 4,
         .interesting = {1, 2, 2, 3, spec.experts - 1, spec.experts / 2}});
  v.Int("shared_intermediate", spec.shared_intermediate,
        {.lo = lo,
         .hi = mixture ? limits.max_intermediate : 0,
         .typical = 40,
         .interesting = {3, 8, 15, 17, 33}});
  v.Enum("router", model.weights.router, kRouterStyleNames,
         {.count = mixture ? std::size(kRouterStyleNames) : 1,
          .interesting = {RouterStyle::kPlain, RouterStyle::kPlain, RouterStyle::kNearTied}});
}

static void LabelMixture(const ModelRecipe& model, std::vector<std::string>& labels) {
  const ModelSpec& spec = model.spec;
  if (!TraitsOf(spec.family).mixture) return;
  labels.emplace_back(spec.experts_per_token == 1 ? "top_k:1" : "top_k:many");
  if (spec.experts_per_token < spec.experts) labels.emplace_back("experts_rejected");
  if (spec.shared_intermediate != spec.intermediate) {
    labels.emplace_back("shared_intermediate!=intermediate");
  }
  labels.push_back(absl::StrCat(
      "router:", std::string(kRouterStyleNames[static_cast<size_t>(model.weights.router)])));
}

bool SameRecipe(const std::shared_ptr<const ModelRecipe>& a,
                const std::shared_ptr<const ModelRecipe>& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}

void LabelModel(const ModelRecipe& model, std::vector<std::string>& labels) {
  const ModelSpec& spec = model.spec;
  const auto has = [&spec](LayerKind kind) {
    return std::find(spec.layers.begin(), spec.layers.end(), kind) != spec.layers.end();
  };
  const bool linear = has(LayerKind::kLinearAttention), full = has(LayerKind::kFullAttention);
  if (linear && spec.linear_value_heads != spec.linear_key_heads)
    labels.emplace_back("value_heads!=key_heads");
  if (full && spec.kv_heads != spec.heads) labels.emplace_back("kv_heads!=heads");
  if ((full && spec.heads % 2 == 1 && spec.heads > 1) ||
      (linear && spec.linear_value_heads % 2 == 1 && spec.linear_value_heads > 1)) {
    labels.emplace_back("odd_heads");
  }
  if (full && spec.rotary_dim != spec.head_dim) labels.emplace_back("partial_rotary");
  if (spec.hidden % 4 != 0) labels.emplace_back("hidden_off_simd_width");
  if (!full) labels.emplace_back("no_full_attention");
  if (!linear) labels.emplace_back("no_linear_attention");
  if (spec.tied) labels.emplace_back("tied_head");
  labels.push_back(
      absl::StrCat("family:", std::string(kFamilyNames[static_cast<size_t>(spec.family)])));
  LabelMixture(model, labels);
  labels.push_back(absl::StrCat(
      "style:", std::string(kWeightStyleNames[static_cast<size_t>(model.weights.style)])));
  labels.push_back(absl::StrCat(
      "storage:", std::string(kDTypeNames[static_cast<size_t>(model.weights.storage)])));
}

}  // namespace crosscheck
