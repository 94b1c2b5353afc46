#include "properties/subjects/model_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"

namespace crosscheck {
namespace {

constexpr double kEpsilons[] = {1e-6, 1e-5, 1e-3, 1e-12};
constexpr double kThetas[] = {1e4, 1e7, 1e6, 100.0};

// Tokens cost more in a large model; long prompts are drawn where they stay cheap.
constexpr int64_t kMultiplyAddsOfSmallModel = 40'000;

// Multiply-adds of one token: projections, states and attention over a short context. An estimate
// for the budget of a case.
int64_t MultiplyAddsPerToken(const ModelSpec& spec) {
  const int64_t hidden = spec.hidden;
  const int64_t query = int64_t{spec.heads} * spec.head_dim,
                key = int64_t{spec.kv_heads} * spec.head_dim;
  const int64_t value_channels = int64_t{spec.linear_value_heads} * spec.linear_value_dim;
  const int64_t full = hidden * (3 * query + 2 * key) + 64 * 2 * query;
  const int64_t linear =
      hidden * (spec.conv_channels() + 2 * value_channels + 2 * int64_t{spec.linear_value_heads}) +
      int64_t{spec.conv_channels()} * spec.conv_kernel + 4 * value_channels * spec.linear_key_dim;
  int64_t total = int64_t{spec.vocab} * hidden;
  for (const LayerKind kind : spec.layers) {
    total += 3 * hidden * spec.intermediate + (kind == LayerKind::kFullAttention ? full : linear);
  }
  return total;
}

void VisitLayers(FieldVisitor& v, const Limits& limits, ModelSpec& spec) {
  using enum LayerKind;
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(limits.max_layers),
                        .typical = 3,
                        .interesting = {2, 3, 4},
                        .phase = ShrinkPhase::kDimensions};
  v.List("layers", spec.layers, range, [&spec](FieldVisitor& e, LayerKind& kind) {
    const bool after_linear = &kind != spec.layers.data() && *(&kind - 1) == kLinearAttention;
    e.Enum("kind", kind, kLayerKindNames,
           {.interesting = {after_linear ? kFullAttention : kLinearAttention}});
  });
}

void VisitAttention(FieldVisitor& v, const Limits& limits, ModelSpec& spec) {
  v.Int("kv_heads", spec.kv_heads,
        {.lo = 1, .hi = limits.max_heads, .typical = 2, .interesting = {1, 1, 2, 3}});
  v.Int("heads", spec.heads,
        {.lo = spec.kv_heads,
         .hi = limits.max_heads,
         .step = spec.kv_heads,
         .interesting = {3, 5, 2 * spec.kv_heads, 2 * spec.kv_heads, 3 * spec.kv_heads}});
  v.Int("head_dim", spec.head_dim,
        {.lo = 2, .hi = limits.max_head_dim, .typical = 16, .interesting = {3, 4, 6, 8, 9, 16}});
  v.Int("rotary_dim", spec.rotary_dim,
        {.lo = 2,
         .hi = spec.head_dim,
         .step = 2,
         .interesting = {spec.head_dim / 4, spec.head_dim / 2, 6}});
}

void VisitLinearAttention(FieldVisitor& v, const Limits& limits, ModelSpec& spec) {
  v.Int("linear_key_heads", spec.linear_key_heads,
        {.lo = 1, .hi = limits.max_heads, .typical = 2, .interesting = {1, 1, 2, 2, 3}});
  const int key_heads = spec.linear_key_heads;
  v.Int(
      "linear_value_heads", spec.linear_value_heads,
      {.lo = key_heads,
       .hi = limits.max_heads,
       .step = key_heads,
       .interesting = {2 * key_heads, 2 * key_heads, 2 * key_heads, 3 * key_heads, 3 * key_heads}});
  v.Int("linear_key_dim", spec.linear_key_dim,
        {.lo = 1, .hi = limits.max_head_dim, .typical = 12, .interesting = {3, 4, 5, 8, 16}});
  v.Int("linear_value_dim", spec.linear_value_dim,
        {.lo = 1, .hi = limits.max_head_dim, .typical = 12, .interesting = {3, 4, 5, 8, 16}});
  v.Int("conv_kernel", spec.conv_kernel,
        {.lo = 1, .hi = limits.max_conv_kernel, .interesting = {4, 4}});
}

void VisitModel(FieldVisitor& v, const Limits& limits, ModelRecipe& model) {
  ModelSpec& spec = model.spec;
  v.Enum("family", spec.family, kFamilyNames);
  VisitLayers(v, limits, spec);
  v.Int("vocab", spec.vocab,
        {.lo = 2, .hi = limits.max_vocab, .typical = 64, .interesting = {3, 17, 31, 32, 33}});
  v.Int("hidden", spec.hidden,
        {.lo = 1, .hi = limits.max_hidden, .typical = 32, .interesting = {4, 7, 8, 9, 16, 20, 31}});
  v.Int("intermediate", spec.intermediate,
        {.lo = 1,
         .hi = limits.max_intermediate,
         .typical = 40,
         .interesting = {3, 8, 15, 16, 17, 33}});
  VisitAttention(v, limits, spec);
  VisitLinearAttention(v, limits, spec);
  v.Bool("tied", spec.tied, {.interesting = {false}});
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

void VisitIds(FieldVisitor& v, const ModelSpec& spec, int64_t longest, SequenceCase& sequence) {
  const auto kernel = static_cast<size_t>(spec.conv_kernel);
  ListRange range{.min = 1,
                  .max = static_cast<size_t>(longest),
                  .typical = 20,
                  .interesting = {1, 2, 2, kernel - 1, kernel, kernel + 1, 3, 5, 7, 11, 13, 17, 19,
                                  23, 63, 64, 65},
                  .repeats = true};
  const std::initializer_list<size_t> with_long = {
      1, 2, kernel - 1, kernel, kernel + 1, 5, 7, 11, 13, 17, 19, 23, 63, 64, 65, 127, 128, 129};
  if (MultiplyAddsPerToken(spec) <= kMultiplyAddsOfSmallModel) range.interesting = with_long;
  v.List("ids", sequence.ids, range, [&](FieldVisitor& e, int32_t& id) {
    const int64_t before = &id == sequence.ids.data() ? 0 : *(&id - 1);
    e.Int("id", id,
          {.lo = 0,
           .hi = spec.vocab - 1,
           .interesting = {before, spec.eos},
           .phase = ShrinkPhase::kValues});
  });
}

// One call for the whole prompt where the engine cannot chunk it; the ids after the last call are
// single steps.
void VisitChunks(FieldVisitor& v, const Limits& limits, ModelPath path, SequenceCase& sequence) {
  const auto size = static_cast<int64_t>(sequence.ids.size());
  int64_t rest = size;
  const bool session = path == ModelPath::kSession;
  const ListRange range{.min = 1,
                        .max = session && limits.chunked_prefill ? 8u : 1u,
                        .typical = 3,
                        .more = [&rest] { return rest > 0; },
                        .phase = ShrinkPhase::kSteps};
  v.List("chunks", sequence.chunks, range, [&](FieldVisitor& e, int32_t& chunk) {
    const int64_t least = session ? 1 : rest;
    e.Int("chunk", chunk,
          {.lo = least,
           .hi = rest,
           .descending = true,
           .interesting = {rest / 2, rest - 1, 2, 3, 64},
           .phase = ShrinkPhase::kSteps});
    rest -= chunk;
  });
}

void VisitSequence(FieldVisitor& v, const Limits& limits, const ModelRunCase& c, int64_t budget,
                   SequenceCase& sequence) {
  const ModelSpec& spec = c.model->spec;
  const int64_t positions = std::min<int64_t>(spec.max_positions, limits.max_tokens);
  VisitIds(v, spec, std::clamp<int64_t>(budget, 1, positions), sequence);
  VisitChunks(v, limits, c.path, sequence);
  const int64_t after_prompt = positions - static_cast<int64_t>(sequence.ids.size());
  v.Int("left_padding", sequence.left_padding,
        {.lo = 0,
         .hi = limits.masks ? std::min<int64_t>(8, after_prompt) : 0,
         .typical = 0,
         .interesting = {1, 2, 3},
         .phase = ShrinkPhase::kConfiguration});
  v.Int("generate", sequence.generate,
        {.lo = 0,
         .hi = std::min<int64_t>(limits.max_generated, after_prompt - sequence.left_padding),
         .typical = 12,
         .interesting = {1, 2, 3, 8},
         .phase = ShrinkPhase::kLength});
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, ModelRunCase& c) {
  ModelRecipe model = c.model == nullptr ? ModelRecipe{} : *c.model;
  v.Shared("model", [&] { VisitModel(v, limits, model); });
  // An unchanged recipe stays the same object.
  if (c.model == nullptr || !(model == *c.model))
    c.model = std::make_shared<const ModelRecipe>(std::move(model));
  v.Enum("path", c.path, kModelPathNames);
  int64_t budget = limits.max_multiply_adds / MultiplyAddsPerToken(c.model->spec);
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(limits.max_sequences),
                        .typical = 1,
                        .interesting = {1, 1, 2, 2, 3},
                        .phase = ShrinkPhase::kMates};
  v.List("sequences", c.sequences, range, [&](FieldVisitor& e, SequenceCase& sequence) {
    VisitSequence(e, limits, c, budget, sequence);
    budget -= static_cast<int64_t>(sequence.ids.size());
  });
}

namespace {

bool IsBoundaryLength(const ModelSpec& spec, size_t length) {
  constexpr size_t kBoundaries[] = {1, 2, 63, 64, 65, 127, 128, 129};
  const auto kernel = static_cast<size_t>(spec.conv_kernel);
  return std::find(std::begin(kBoundaries), std::end(kBoundaries), length) !=
             std::end(kBoundaries) ||
         (length + 1 >= kernel && length <= kernel + 1) ||
         length == static_cast<size_t>(spec.max_positions);
}

void LabelSequences(const ModelRunCase& c, std::vector<std::string>& labels) {
  bool boundary = false, crosses = false, steps = false, chunks = false, padded = false,
       generates = false;
  bool repeats = false, exact_fit = false;
  for (const SequenceCase& sequence : c.sequences) {
    const size_t length = sequence.ids.size();
    int64_t prefilled = 0;
    for (const int32_t chunk : sequence.chunks) prefilled += chunk;
    boundary |= IsBoundaryLength(c.model->spec, length);
    crosses |= length > 64;
    steps |= prefilled < static_cast<int64_t>(length);
    chunks |= sequence.chunks.size() > 1;
    padded |= sequence.left_padding > 0;
    generates |= sequence.generate > 0;
    for (size_t i = 1; i < length; ++i) repeats |= sequence.ids[i] == sequence.ids[i - 1];
    const auto positions = static_cast<int64_t>(length) + sequence.left_padding + sequence.generate;
    exact_fit |= positions == c.model->spec.max_positions;
  }
  if (c.sequences.size() > 1) labels.emplace_back("multi_sequence");
  if (boundary) labels.emplace_back("boundary_length");
  if (crosses) labels.emplace_back("crosses_chunk_64");
  if (steps) labels.emplace_back("steps");
  if (chunks) labels.emplace_back("chunked_prefill");
  if (padded) labels.emplace_back("left_padding");
  if (generates) labels.emplace_back("generates");
  if (repeats) labels.emplace_back("repeated_token");
  if (exact_fit) labels.emplace_back("context_full");
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
  labels.push_back(absl::StrCat(
      "style:", std::string(kWeightStyleNames[static_cast<size_t>(model.weights.style)])));
  labels.push_back(absl::StrCat(
      "storage:", std::string(kDTypeNames[static_cast<size_t>(model.weights.storage)])));
}

}  // namespace

static std::vector<std::string> Labels(const ModelRunCase& c) {
  std::vector<std::string> labels;
  LabelModel(*c.model, labels);
  labels.push_back(
      absl::StrCat("path:", std::string(kModelPathNames[static_cast<size_t>(c.path)])));
  LabelSequences(c, labels);
  return labels;
}

bool operator==(const ModelRunCase& a, const ModelRunCase& b) {
  return *a.model == *b.model && a.path == b.path && a.sequences == b.sequences;
}

const Subject& ModelRunSubject() { return MakeSubject<ModelRunCase>(); }

}  // namespace crosscheck
