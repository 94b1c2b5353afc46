#include "fuzz/localise_taps.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "properties/judges/failure.h"
#include "properties/judges/stage_names.h"

namespace crosscheck {

absl::StatusOr<Tapped> TapEngine(const std::shared_ptr<const ModelRecipe>& model,
                                 const std::vector<int32_t>& ids, Executor& executor) {
  Message taps, plain;
  taps.head = {{"op", "taps"}, {"ids", ids}};
  // An engine that names its taps has no others; one that does not answers all of them.
  const Json named = executor.hello().value("limits", Json::object()).value("taps", Json());
  if (named.is_array()) taps.head["stages"] = named;
  plain.head = {{"op", "logits"},
                {"path", "prompt"},
                {"batched", false},
                {"sequences", Json::array({{{"ids", ids}}})}};
  const auto observations =
      executor.Observe({{.role = Role::kEngine, .model = model, .request = taps},
                        {.role = Role::kEngine, .model = model, .request = plain}},
                       false);
  const Reply& reply = (*observations)[0];
  if (Lacks(reply)) return absl::UnimplementedError("the engine has no taps");
  if (!reply.ok()) {
    return absl::UnavailableError(absl::StrCat("the tapped run failed: ", reply.failure->message));
  }
  Tapped tapped;
  for (const Tensor& tensor : reply.message.tensors) {
    absl::StatusOr<std::vector<double>> values = tensor.ToDoubles();
    if (!values.ok()) return values.status();
    if (const auto key = ParseTapName(tensor.name); IsStage(key.second)) {
      tapped[key] = *std::move(values);
    }
  }
  const Tensor* with_taps = reply.message.Find(kLogits);
  const Tensor* without =
      (*observations)[1].ok() ? (*observations)[1].message.Find("logits.0") : nullptr;
  if (with_taps != nullptr && (without == nullptr || without->bytes != with_taps->bytes)) {
    return absl::FailedPreconditionError("the engine answers other logits when it taps");
  }
  return tapped;
}

absl::StatusOr<StageLadder> StageErrors(const ModelRecipe& model, const std::vector<int32_t>& ids,
                                        const Tapped& engine) {
  const auto nudged = [&model](int nudge) {
    ModelRecipe recipe = model;
    recipe.weights.nudge = nudge;
    return std::make_shared<const Model>(GenerateModel(recipe));
  };
  return StageErrors(nudged, ids, engine);
}

std::optional<bool> FinalNormIsBad(const std::shared_ptr<const ModelRecipe>& model,
                                   const std::vector<int32_t>& ids, Executor& executor) {
  Message request;
  request.head = {{"op", "hidden"}, {"ids", ids}};
  const auto observations = executor.Observe(
      {{.role = Role::kEngine, .model = model, .request = std::move(request)}}, false);
  const Reply& reply = (*observations)[0];
  const Tensor* hidden = reply.ok() ? reply.message.Find("hidden") : nullptr;
  const auto values = hidden != nullptr ? hidden->ToDoubles() : absl::NotFoundError("");
  if (!values.ok()) return std::nullopt;
  // Nothing is swapped in but what comes last, so every implementation goes on with its own values.
  const Tapped last = {{{-1, kFinalNorm}, *values}};
  const absl::StatusOr<StageLadder> ladder = StageErrors(*model, ids, last);
  if (!ladder.ok() || ladder->stages.empty()) return std::nullopt;
  return ladder->stages.front().bad();
}

}  // namespace crosscheck
