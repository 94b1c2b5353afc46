// All references on one case at once, for calibration and sensitivity: the exact model, libtorch in
// fp32 and fp64, and the perturbed fp32 variants, through the same messages and the same reading as
// in a judged case.
#ifndef CROSSCHECK_PROPERTIES_REFERENCE_PANEL_H_
#define CROSSCHECK_PROPERTIES_REFERENCE_PANEL_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engines/reference_engine.h"
#include "properties/logits.h"
#include "properties/property.h"

namespace crosscheck {

// Not thread-safe; one panel for each thread. Keeps the model of the last case loaded.
class ReferencePanel {
 public:
  enum Member : size_t { kExact, kTorch, kRecurrent, kReversed, kPairwise, kTorchFp64, kMembers };

  static absl::StatusOr<std::unique_ptr<ReferencePanel>> Open();

  Reply Call(Member member, const std::shared_ptr<const ModelRecipe>& recipe, Message request);
  // The member's logits on the path; the exact model answers all positions whatever the path. An
  // error is a failure of a reference or of its answer.
  absl::StatusOr<LogitsAnswer> Answer(Member member, const ModelRunCase& c, ModelPath path);

 private:
  struct Seat {
    std::unique_ptr<ReferenceEngine> engine;
    std::string model;  // loaded id, or ""
    std::shared_ptr<const ModelRecipe> recipe;
  };
  absl::Status Load(Seat& seat, const std::shared_ptr<const ModelRecipe>& recipe);

  std::vector<Seat> seats_;
  std::shared_ptr<const Model> model_;  // of `recipe_`
  std::shared_ptr<const ModelRecipe> recipe_;
};

// A plan observed with a member of the panel in the place of the engine under test. As in a judged
// run, that member is not available as a reference.
class PanelObservations : public Observations {
 public:
  PanelObservations(std::vector<Run> plan, ReferencePanel::Member engine, ReferencePanel& panel);
  const Reply& operator[](size_t i) override;
  bool Available(size_t i) const override;
  std::string_view engine_family() const override { return "panel"; }

  void Replace(size_t i, Reply reply) { replies_[i] = std::move(reply); }

 private:
  const std::vector<Run> plan_;
  const ReferencePanel::Member engine_;
  ReferencePanel& panel_;
  std::vector<std::optional<Reply>> replies_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_PROPERTIES_REFERENCE_PANEL_H_
