#include "properties/subjects/loader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/make_subject.h"
#include "properties/mutations/checkpoint_files.h"
#include "properties/subjects/model_recipe_fields.h"

namespace crosscheck {
namespace {

// What is loaded matters here and not how large it is.
Limits Small(Limits limits) {
  const auto cap = [](int& limit, int most) { limit = std::min(limit, most); };
  cap(limits.max_layers, 3);
  cap(limits.max_hidden, 12);
  cap(limits.max_heads, 4);
  cap(limits.max_head_dim, 8);
  cap(limits.max_vocab, 24);
  cap(limits.max_intermediate, 12);
  cap(limits.max_positions, 64);
  return limits;
}

constexpr int kMostTargets = 63;

void VisitMutation(FieldVisitor& v, Mutation& mutation) {
  v.Enum("kind", mutation.kind, kMutationKindNames,
         {.interesting = {MutationKind::kConfigValue}, .phase = ShrinkPhase::kValues});
  v.Enum("way", mutation.way, WaysOf(mutation.kind), {.phase = ShrinkPhase::kValues});
  const bool has_key = mutation.kind == MutationKind::kConfigValue;
  v.Enum("key", mutation.key, ConfigKeys(),
         {.count = has_key ? ConfigKeys().size() : 1, .phase = ShrinkPhase::kValues});
  v.Int("target", mutation.target, {.lo = 0, .hi = kMostTargets, .phase = ShrinkPhase::kValues});
}

}  // namespace

// Found by argument-dependent lookup from MakeSubject, hence not in the unnamed namespace.
static void Visit(FieldVisitor& v, const Limits& limits, LoaderCase& c) {
  v.Shared("model", [&] { VisitModelRecipe(v, Small(limits), c.model); });
  v.List("mutations", c.mutations,
         {.min = 0,
          .max = 8,
          .typical = 2,
          .interesting = {0, 1, 1, 1, 2, 3},
          .phase = ShrinkPhase::kMates},
         [](FieldVisitor& e, Mutation& mutation) { VisitMutation(e, mutation); });
  v.List("ids", c.ids, {.min = 1, .max = 16, .typical = 6, .phase = ShrinkPhase::kLength},
         [](FieldVisitor& e, int32_t& id) {
           e.Int("id", id, {.lo = 0, .hi = 23, .phase = ShrinkPhase::kValues});
         });
}

static std::vector<std::string> Labels(const LoaderCase& c) {
  std::vector<std::string> labels;
  if (c.mutations.empty()) labels.emplace_back("unchanged");
  if (c.mutations.size() > 1) labels.emplace_back("several_changes");
  for (const Mutation& mutation : c.mutations) {
    std::string label = absl::StrCat(
        "change:", std::string(kMutationKindNames[static_cast<size_t>(mutation.kind)]));
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) {
      labels.push_back(std::move(label));
    }
  }
  return labels;
}

const Subject& LoaderSubject() { return MakeSubject<LoaderCase>(); }

std::shared_ptr<const InputFiles> FilesOf(const LoaderCase& c) {
  return std::make_shared<const InputFiles>(MutatedCheckpoint(GenerateModel(c.model), c.mutations));
}

}  // namespace crosscheck
