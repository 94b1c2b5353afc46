#include <cstdio>
#include <cstdlib>
#include <string>

#include "properties/property.h"
#include "properties/property_list.h"

namespace crosscheck {
namespace {

std::vector<const Property*>& Registry() {
  static auto* const properties = [] {
    auto* listed = new std::vector<const Property*>;
    for (auto* property : kListedProperties) listed->push_back(&property());
    return listed;
  }();
  return *properties;
}

}  // namespace

std::shared_ptr<const ModelRecipe> ModelOf(const Run& run) {
  if (run.model == nullptr || run.nudge == 0) return run.model;
  auto nudged = std::make_shared<ModelRecipe>(*run.model);
  nudged->weights.nudge = run.nudge;
  return nudged;
}

const std::vector<const Property*>& Properties() { return Registry(); }

const Property* FindProperty(std::string_view name) {
  for (const Property* property : Registry()) {
    if (property->name == name) return property;
  }
  return nullptr;
}

void AddProperty(const Property& property) {
  if (FindProperty(property.name) != nullptr) {
    std::fprintf(stderr, "a second property named %s\n", std::string(property.name).c_str());
    std::abort();
  }
  Registry().push_back(&property);
}

}  // namespace crosscheck
