#include "properties/subjects/generation.h"

#include <algorithm>

#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

constexpr int kLargestVocab = 12;
constexpr int kLargestContext = 64;
constexpr double kTemperatures[] = {1, 0.5, 2, 0.1};
constexpr double kTopPs[] = {1, 0.9, 0.5};

void VisitRequest(FieldVisitor& v, const Limits& limits, GenerationCase& c) {
  const ModelSpec& spec = c.model->spec;
  const auto context = static_cast<size_t>(spec.max_positions);
  v.List("ids", c.ids,
         {.min = 1, .max = context, .typical = 8, .interesting = {1, 2, context - 1, context}},
         [&spec](FieldVisitor& e, int32_t& id) {
           e.Int("id", id,
                 {.lo = 0,
                  .hi = spec.vocab - 1,
                  .interesting = {spec.eos},
                  .phase = ShrinkPhase::kValues});
         });
  const int64_t room = spec.max_positions - static_cast<int64_t>(c.ids.size());
  v.Int("max_tokens", c.max_tokens,
        {.lo = 0,
         .hi = limits.max_generated,
         .typical = 12,
         .interesting = {1, 1, 2, room, room, room + 1},
         .phase = ShrinkPhase::kLength});
  v.List("stop", c.stop, {.max = 3, .typical = 1}, [&spec](FieldVisitor& e, int32_t& id) {
    e.Int("id", id,
          {.lo = 0,
           .hi = spec.vocab,
           .interesting = {spec.eos, spec.vocab},
           .phase = ShrinkPhase::kValues});
  });
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, GenerationCase& c) {
  Limits tiny = limits;
  tiny.max_vocab = std::min(limits.max_vocab, kLargestVocab);
  tiny.max_positions = std::min(limits.max_positions, kLargestContext);
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("model", [&] { VisitModelRecipe(v, tiny, model); });
  });
  VisitRequest(v, limits, c);
  v.Bool("log_probs", c.log_probs, {.count = limits.logprobs ? 2u : 1u});
  v.Bool("stream", c.stream, {.count = limits.streams ? 2u : 1u});
  v.Bool("sampled", c.sampled, {.typical = 1, .interesting = {false, true}});
  v.Table("temperature", c.temperature, kTemperatures);
  v.Int("top_k", c.top_k, {.lo = 0, .hi = 3});
  v.Table("top_p", c.top_p, kTopPs);
  v.U64("seed", c.seed);
  v.Bool("stop_string", c.stop_string, {.typical = 1, .interesting = {false, false, false, true}});
}

static std::vector<std::string> Labels(const GenerationCase& c) {
  std::vector<std::string> labels;
  LabelModel(*c.model, labels);
  const ModelSpec& spec = c.model->spec;
  const int64_t positions = static_cast<int64_t>(c.ids.size()) + c.max_tokens;
  const auto has = [&labels](bool condition, const char* label) {
    if (condition) labels.emplace_back(label);
  };
  has(c.max_tokens == 0, "budget_0");
  has(c.max_tokens == 1, "budget_1");
  has(positions == spec.max_positions, "fills_the_context");
  has(positions > spec.max_positions, "beyond_the_context");
  has(std::find(c.ids.begin(), c.ids.end(), spec.eos) != c.ids.end(), "eos_in_the_prompt");
  has(!c.stop.empty(), "stop_ids");
  has(c.log_probs, "log_probs");
  has(c.stream, "stream");
  has(c.sampled, "sampled");
  has(c.stop_string, "stop_string");
  return labels;
}

bool operator==(const GenerationCase& a, const GenerationCase& b) {
  return SameRecipe(a.model, b.model) && a.ids == b.ids && a.max_tokens == b.max_tokens &&
         a.stop == b.stop && a.log_probs == b.log_probs && a.stream == b.stream &&
         a.sampled == b.sampled && a.temperature == b.temperature && a.top_k == b.top_k &&
         a.top_p == b.top_p && a.seed == b.seed && a.stop_string == b.stop_string;
}

const Subject& GenerationSubject() { return MakeSubject<GenerationCase>(); }

}  // namespace crosscheck
