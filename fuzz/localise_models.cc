#include "fuzz/localise_models.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/run_case.h"
#include "properties/subjects/generation.h"
#include "properties/subjects/lora.h"
#include "properties/subjects/model_run.h"
#include "properties/subjects/session.h"
#include "properties/subjects/weight_format.h"

namespace crosscheck {
namespace {

// Calls visit(T) for the subject that has this name, of those that hold a model.
template <class Visit>
void VisitModelCase(const Case& c, Visit visit) {
  const auto visit_one = [&]<class T>(const T*) {
    if (c.subject().name == T::kSubjectName) visit(c.As<T>());
  };
  visit_one(static_cast<const ModelRunCase*>(nullptr));
  visit_one(static_cast<const LoraCase*>(nullptr));
  visit_one(static_cast<const GenerationCase*>(nullptr));
  visit_one(static_cast<const SessionCase*>(nullptr));
  visit_one(static_cast<const WeightFormatCase*>(nullptr));
}

Case WithModel(const Case& c, ModelRecipe recipe) {
  const auto model = std::make_shared<const ModelRecipe>(std::move(recipe));
  Case edited = c;
  VisitModelCase(c, [&](auto value) {
    value.model = model;
    edited = Case(c.subject(), std::move(value));
  });
  return edited;
}

class ModelSearch {
 public:
  ModelSearch(const Property& property, const Case& c, Executor& executor, Localisation& result)
      : property_(property), c_(c), executor_(executor), result_(result), recipe_(*RecipeOf(c)) {}

  void Run() {
    size_t least = 0, failing = recipe_.spec.layers.size();  // the least k that fails is between
    while (least < failing && !undecided_) {
      const size_t middle = (least + failing) / 2;
      if (Fails(middle == 0 ? Hollow() : Shortened(middle))) {
        failing = middle;
      } else {
        least = middle + 1;
      }
    }
    std::string stage = failing == 0 ? "outside the layers" : Half(failing);
    if (undecided_) return;
    result_.first_bad = {.layer = static_cast<int>(failing) - 1,
                         .stage = std::move(stage),
                         .means = "edited models"};
  }

 private:
  // The model of the first layers; tensors keep their weights, which follow from their names.
  ModelRecipe Shortened(size_t layers) const {
    ModelRecipe recipe = recipe_;
    recipe.spec.layers.resize(layers);
    return recipe;
  }
  // One layer that adds nothing.
  ModelRecipe Hollow() const {
    ModelRecipe recipe = Shortened(1);
    recipe.zeroed = {{0, ModelBlock::kMixer}, {0, ModelBlock::kFeedForward}};
    return recipe;
  }

  bool FailsWithout(size_t layers, ModelBlock block) {
    ModelRecipe recipe = Shortened(layers);
    recipe.zeroed = {{static_cast<int>(layers) - 1, block}};
    return Fails(std::move(recipe));
  }

  // What is bad in the last layer of a model that fails.
  std::string Half(size_t layers) {
    const bool mixer = !FailsWithout(layers, ModelBlock::kMixer);
    const bool feed_forward = !FailsWithout(layers, ModelBlock::kFeedForward);
    if (undecided_ || mixer == feed_forward) return "both halves or their input";
    const ModelSpec& spec = recipe_.spec;
    if (feed_forward) {
      if (!TraitsOf(spec.family).mixture) return "MLP";
      return FailsWithout(layers, ModelBlock::kRoutedExperts) ? "shared expert" : "routed experts";
    }
    if (spec.layers[layers - 1] == LayerKind::kLinearAttention) return "linear attention";
    return FailsWithout(layers, ModelBlock::kScores) ? "attention beside the scores"
                                                     : "attention scores";
  }

  bool Fails(ModelRecipe recipe) {
    if (undecided_) return false;
    ++result_.runs;
    const Verdict verdict = RunCase(property_, WithModel(c_, std::move(recipe)), executor_);
    const VerdictKind kind = verdict.kind;
    if (kind == VerdictKind::kPass || kind == VerdictKind::kNearTie) return false;
    if (kind == VerdictKind::kEngineBug) return true;
    undecided_ = true;
    result_.notes.push_back(absl::StrCat("an edited model gives ",
                                         std::string(kVerdictKindNames[static_cast<size_t>(kind)]),
                                         ": ", verdict.message));
    return false;
  }

  const Property& property_;
  const Case& c_;
  Executor& executor_;
  Localisation& result_;
  const ModelRecipe recipe_;
  bool undecided_ = false;
};

}  // namespace

std::shared_ptr<const ModelRecipe> RecipeOf(const Case& c) {
  std::shared_ptr<const ModelRecipe> recipe;
  VisitModelCase(c, [&](const auto& value) { recipe = value.model; });
  return recipe;
}

void LocaliseByModels(const Property& property, const Case& c, Executor& executor,
                      Localisation& result) {
  ModelSearch(property, c, executor, result).Run();
}

}  // namespace crosscheck
