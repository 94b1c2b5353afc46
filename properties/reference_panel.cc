#include "properties/reference_panel.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace crosscheck {

absl::StatusOr<std::unique_ptr<ReferencePanel>> ReferencePanel::Open() {
  constexpr std::string_view kNames[kMembers][2] = {{"exact", "fp64"},
                                                    {"torch", "fp32"},
                                                    {"exact", "fp32"},
                                                    {"exact", "fp32-chunked-reversed"},
                                                    {"exact", "fp32-chunked-pairwise"},
                                                    {"torch", "fp64"}};
  auto panel = std::make_unique<ReferencePanel>();
  for (const auto& name : kNames) {
    auto engine = OpenReferenceEngine(name[0], name[1]);
    if (!engine.ok()) return engine.status();
    panel->seats_.push_back({*std::move(engine), "", nullptr});
  }
  return panel;
}

absl::Status ReferencePanel::Load(Seat& seat, const std::shared_ptr<const ModelRecipe>& recipe) {
  if (recipe_ == nullptr || (recipe_ != recipe && !(*recipe_ == *recipe))) {
    model_ = std::make_shared<const Model>(GenerateModel(*recipe));
    recipe_ = recipe;
  }
  if (seat.recipe == recipe_) return absl::OkStatus();
  if (!seat.model.empty()) seat.engine->UnloadModel(seat.model);
  seat.model.clear();
  auto id = seat.engine->LoadModel(model_);
  if (!id.ok()) return id.status();
  seat.model = *std::move(id);
  seat.recipe = recipe_;
  return absl::OkStatus();
}

Reply ReferencePanel::Call(Member member, const std::shared_ptr<const ModelRecipe>& recipe,
                           Message request) {
  Seat& seat = seats_[member];
  if (absl::Status status = Load(seat, recipe); !status.ok()) {
    return FailedReply(FailureKind::kInternal, std::string(status.message()));
  }
  request.head["model"] = seat.model;
  return seat.engine->Call(request);
}

absl::StatusOr<LogitsAnswer> ReferencePanel::Answer(Member member, const ModelRunCase& c,
                                                    ModelPath path) {
  bool exact = member == kExact;
  Reply reply = Call(member, c.model, exact ? ExactRequest(c) : ReferenceLogitsRequest(c, path));
  if (!reply.ok()) return absl::InternalError(reply.failure->message);
  return exact ? ReadExact(reply.message, c) : ReadLogits(reply.message, c, path);
}

namespace {

ReferencePanel::Member MemberOf(const Run& run, ReferencePanel::Member engine) {
  switch (run.role) {
    case Role::kEngine:
      return engine;
    case Role::kExact:
      return ReferencePanel::kExact;
    case Role::kPerturbed:
      return static_cast<ReferencePanel::Member>(ReferencePanel::kTorch + run.variant);
    case Role::kTorch:
      break;
  }
  return run.variant == static_cast<int>(TorchPrecision::kFp64) ? ReferencePanel::kTorchFp64
                                                                : ReferencePanel::kTorch;
}

}  // namespace

PanelObservations::PanelObservations(std::vector<Run> plan, ReferencePanel::Member engine,
                                     ReferencePanel& panel)
    : plan_(std::move(plan)), engine_(engine), panel_(panel), replies_(plan_.size()) {}

const Reply& PanelObservations::operator[](size_t i) {
  if (!replies_[i]) {
    const Run& run = plan_[i];
    Message request = run.derive ? run.derive(*this) : run.request;
    replies_[i] = panel_.Call(MemberOf(run, engine_), ModelOf(run), std::move(request));
  }
  return *replies_[i];
}

bool PanelObservations::Available(size_t i) const {
  const Run& run = plan_[i];
  return run.role == Role::kEngine || run.nudge != 0 || MemberOf(run, engine_) != engine_;
}

}  // namespace crosscheck
