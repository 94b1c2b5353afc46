#include "properties/subjects/weight_format.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"
#include "reference/quantisation/q8_0.h"

namespace crosscheck {
namespace {

// Ids 1..96 of our tokenizer are single ASCII characters (reference/tokenizer_json.cc).
constexpr int64_t kLastTextId = 96;

void VisitIds(FieldVisitor& v, const Limits& limits, WeightFormatCase& c) {
  const ModelSpec& spec = c.model->spec;
  const int64_t affordable = limits.max_multiply_adds / MultiplyAddsPerToken(spec);
  const int64_t positions =
      std::min<int64_t>({spec.max_positions, limits.max_tokens, std::max<int64_t>(affordable, 1)});
  const auto kernel = static_cast<size_t>(spec.conv_kernel);
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(positions),
                        .typical = 16,
                        .interesting = {1, 2, 2, 3, kernel, kernel + 1, 31, 32, 33, 65},
                        .repeats = true};
  v.List("ids", c.ids, range, [&](FieldVisitor& e, int32_t& id) {
    e.Int("id", id,
          {.lo = 1,
           .hi = std::min<int64_t>(spec.vocab - 1, kLastTextId),
           .phase = ShrinkPhase::kValues});
  });
  const int64_t room = spec.max_positions - static_cast<int64_t>(c.ids.size());
  v.Int("generate", c.generate,
        {.lo = 0,
         .hi = std::min<int64_t>(limits.max_generated, room),
         .typical = 12,
         .interesting = {1, 2, 3, 8},
         .phase = ShrinkPhase::kLength});
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, WeightFormatCase& c) {
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("model", [&] {
      v.Bool("whole_blocks", c.whole_blocks, {.phase = ShrinkPhase::kDimensions});
      constexpr int kBlock = kQ80BlockValues;
      VisitModelRecipe(v, limits, model, kDenseQwen35,
                       {.input_step = c.whole_blocks ? kBlock : 1,
                        .largest_input_step = kBlock,
                        .often_tied = true});
    });
  });
  v.Enum("format", c.format, kWeightFormatNames,
         {.count = c.whole_blocks ? 4u : 3u, .interesting = {WeightFormat::kQ80}});
  const bool shows_hidden = c.format == WeightFormat::kF32 || c.format == WeightFormat::kF16;
  v.Enum("answer", c.answer, kFormatAnswerNames, {.count = shows_hidden ? 2u : 1u});
  VisitIds(v, limits, c);
}

static std::vector<std::string> Labels(const WeightFormatCase& c) {
  std::vector<std::string> labels;
  LabelModel(*c.model, labels);
  labels.push_back(
      absl::StrCat("format:", std::string(kWeightFormatNames[static_cast<size_t>(c.format)])));
  if (c.answer == FormatAnswer::kHidden) labels.emplace_back("hidden_states");
  if (c.whole_blocks) labels.emplace_back("whole_blocks");
  return labels;
}

bool operator==(const WeightFormatCase& a, const WeightFormatCase& b) {
  return a.whole_blocks == b.whole_blocks && SameRecipe(a.model, b.model) && a.format == b.format &&
         a.answer == b.answer && a.ids == b.ids && a.generate == b.generate;
}

const Subject& WeightFormatSubject() { return MakeSubject<WeightFormatCase>(); }

}  // namespace crosscheck
