#include "properties/subjects/model_run.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

// Tokens cost more in a large model; long prompts are drawn where they stay cheap.
constexpr int64_t kMultiplyAddsOfSmallModel = 40'000;

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

// Appended after all other fields: index 0 of each is a case of before them.
void VisitRelation(FieldVisitor& v, ModelRunCase& c) {
  RelationCase& relation = c.relation;
  const auto first = static_cast<int64_t>(c.sequences.front().ids.size());
  int64_t longest = 0;
  for (const SequenceCase& sequence : c.sequences) {
    longest = std::max(longest, static_cast<int64_t>(sequence.ids.size()));
  }
  v.Group("relation", [&] {
    v.Int("edit_from_end", relation.edit_from_end,
          {.lo = 0,
           .hi = std::max<int64_t>(first - 2, 0),  // something stands before the edit
           .interesting = {1, first / 2, first - 2},
           .phase = ShrinkPhase::kSteps});
    v.Int("edit_shift", relation.edit_shift,
          {.lo = 0, .hi = c.model->spec.vocab - 2, .phase = ShrinkPhase::kValues});
    v.Int("split", relation.split,
          {.lo = 0,
           .hi = longest - 1,
           .interesting = {1, 1, longest / 2, longest - 1, 64},
           .phase = ShrinkPhase::kSteps});
    v.Bool("sampled", relation.sampled);
    v.U64("seed", relation.seed);
  });
  v.Shared("vocabulary", [&] { v.U64("permutation", relation.permutation); });
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, ModelRunCase& c) {
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("model", [&] { VisitModelRecipe(v, limits, model, kAllFamilies); });
  });
  v.Enum("path", c.path, kModelPathNames, {.count = static_cast<size_t>(limits.paths)});
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
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("mixture", [&] { VisitMixture(v, limits, model); });
  });
  VisitRelation(v, c);
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

void LabelRelation(const ModelRunCase& c, std::vector<std::string>& labels) {
  const RelationCase& relation = c.relation;
  const auto first = static_cast<int>(c.sequences.front().ids.size());
  if (relation.edit_from_end > 0) labels.emplace_back("edit_inside");
  if (relation.split > 0 && relation.split < first) labels.emplace_back("split");
  if (relation.sampled) labels.emplace_back("sampled");
}

}  // namespace

static std::vector<std::string> Labels(const ModelRunCase& c) {
  std::vector<std::string> labels;
  labels.reserve(32);  // more than a case has
  LabelModel(*c.model, labels);
  labels.push_back(absl::StrCat("path:", PathName(c.path)));
  LabelSequences(c, labels);
  LabelRelation(c, labels);
  return labels;
}

bool operator==(const ModelRunCase& a, const ModelRunCase& b) {
  return SameRecipe(a.model, b.model) && a.path == b.path && a.sequences == b.sequences &&
         a.relation == b.relation;
}

Edit EditOf(const ModelRunCase& c) {
  Edit edit{.ids = c.sequences.front().ids};
  edit.position = static_cast<int>(edit.ids.size()) - 1 - c.relation.edit_from_end;
  int32_t& id = edit.ids[static_cast<size_t>(edit.position)];
  id = (id + 1 + c.relation.edit_shift) % c.model->spec.vocab;
  return edit;
}

const Subject& ModelRunSubject() { return MakeSubject<ModelRunCase>(); }

}  // namespace crosscheck
