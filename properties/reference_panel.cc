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

absl::Status ReferencePanel::Load(Seat& seat, const ModelRunCase& c) {
  if (recipe_ == nullptr || (recipe_ != c.model && !(*recipe_ == *c.model))) {
    model_ = std::make_shared<const Model>(GenerateModel(*c.model));
    recipe_ = c.model;
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

absl::StatusOr<LogitsAnswer> ReferencePanel::Answer(Member member, const ModelRunCase& c,
                                                    ModelPath path) {
  Seat& seat = seats_[member];
  if (absl::Status status = Load(seat, c); !status.ok()) return status;
  Message request = member == kExact ? ExactRequest(c) : LogitsRequest(c, path);
  request.head["model"] = seat.model;
  Reply reply = seat.engine->Call(request);
  if (!reply.ok()) return absl::InternalError(reply.failure->message);
  return member == kExact ? ReadExact(reply.message, c) : ReadLogits(reply.message, c, path);
}

}  // namespace crosscheck
