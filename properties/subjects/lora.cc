#include "properties/subjects/lora.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

constexpr double kAlphas[] = {1, 8, 16, 2, 4, 3, 0.5, 32};

// A module of every layer comes first, then those that some layer of the model has.
std::vector<AdapterModule> ModulesOf(const ModelSpec& spec) {
  std::vector<AdapterModule> modules;
  for (size_t i = 0; i < std::size(kAdapterModuleNames); ++i) {
    const auto module = static_cast<AdapterModule>(i);
    if (std::any_of(spec.layers.begin(), spec.layers.end(),
                    [module](LayerKind kind) { return HasModule(kind, module); })) {
      modules.push_back(module);
    }
  }
  return modules;
}

void VisitAdapter(FieldVisitor& v, const ModelSpec& spec, AdapterRecipe& adapter) {
  v.Int("rank", adapter.rank, {.lo = 1, .hi = 16, .typical = 8, .interesting = {2, 3, 4, 5}});
  v.Table("alpha", adapter.alpha, kAlphas);
  const std::vector<AdapterModule> modules = ModulesOf(spec);
  const ListRange range{.min = 1,
                        .max = std::size(kAdapterModuleNames),
                        .typical = 4,
                        .interesting = {1, 2, std::size(kAdapterModuleNames)},
                        .phase = ShrinkPhase::kSteps};
  v.List("modules", adapter.modules, range, [&](FieldVisitor& e, AdapterModule& module) {
    e.Enum("module", module, kAdapterModuleNames, {.values = modules});
  });
  v.Enum("layers", adapter.layers, kAdapterLayersNames);
  v.Bool("zero_b", adapter.zero_b, {.typical = 1, .interesting = {false, false, true}});
  v.U64("seed", adapter.seed);
}

void VisitIds(FieldVisitor& v, const Limits& limits, LoraCase& c) {
  const ModelSpec& spec = c.model->spec;
  const int64_t affordable = limits.max_multiply_adds / MultiplyAddsPerToken(spec);
  const int64_t positions =
      std::min<int64_t>({spec.max_positions, limits.max_tokens, std::max<int64_t>(affordable, 1)});
  const ListRange range{.min = 1,
                        .max = static_cast<size_t>(positions),
                        .typical = 12,
                        .interesting = {1, 2, 2, 3, 63, 64, 65},
                        .repeats = true};
  v.List("ids", c.ids, range, [&](FieldVisitor& e, int32_t& id) {
    e.Int("id", id, {.lo = 0, .hi = spec.vocab - 1, .phase = ShrinkPhase::kValues});
  });
  const bool session = c.path == ModelPath::kSession;
  v.Int("steps", c.steps,
        {.lo = 0,
         .hi = session ? static_cast<int64_t>(c.ids.size()) - 1 : 0,
         .typical = 4,
         .interesting = {1, 2},
         .phase = ShrinkPhase::kSteps});
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, LoraCase& c) {
  EditRecipe(c.model, [&](ModelRecipe& model) {
    v.Shared("model", [&] { VisitModelRecipe(v, limits, model); });
  });
  v.Group("adapter", [&] { VisitAdapter(v, c.model->spec, c.adapter); });
  v.Enum("path", c.path, kModelPathNames, {.count = static_cast<size_t>(limits.paths)});
  VisitIds(v, limits, c);
}

static std::vector<std::string> Labels(const LoraCase& c) {
  std::vector<std::string> labels;
  LabelModel(*c.model, labels);
  for (size_t i = 0; i < std::size(kAdapterModuleNames); ++i) {
    if (std::find(c.adapter.modules.begin(), c.adapter.modules.end(),
                  static_cast<AdapterModule>(i)) != c.adapter.modules.end()) {
      labels.push_back(absl::StrCat("module:", std::string(kAdapterModuleNames[i])));
    }
  }
  if (c.adapter.alpha != c.adapter.rank) labels.emplace_back("alpha!=rank");
  if (c.adapter.zero_b) labels.emplace_back("zero_b");
  if (c.adapter.layers != AdapterLayers::kAll) labels.emplace_back("one_layer_of_a_module");
  if (c.steps > 0) labels.emplace_back("steps");
  labels.push_back(absl::StrCat("path:", PathName(c.path)));
  return labels;
}

bool operator==(const LoraCase& a, const LoraCase& b) {
  return SameRecipe(a.model, b.model) && a.adapter == b.adapter && a.path == b.path &&
         a.ids == b.ids && a.steps == b.steps;
}

const Subject& LoraSubject() { return MakeSubject<LoraCase>(); }

}  // namespace crosscheck
