#include "fuzz/localise_taps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "properties/judges/failure.h"
#include "reference/error_bound.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

constexpr char kLogits[] = "logits";

// The table of stages: the tap after it, and its name. `inputs`: taps of which one must be there
// for the name to be right; where the engine has none of them, the stage reaches further back and
// has the name `coarse`.
struct Stage {
  std::string_view tap, name, inputs, coarse;
};
constexpr Stage kStages[] = {
    {"embedding", "embedding", "", ""},
    {"mixer_in", "input norm", "", ""},
    {"attn.q_proj_out", "q_proj", "", ""},
    {"attn.k_proj_out", "k_proj", "", ""},
    {"attn.v", "v_proj", "", ""},
    {"attn.q_normed", "q norm", "", ""},
    {"attn.k_normed", "k norm", "", ""},
    {"attn.q_roped", "rope", "", ""},
    {"attn.k_roped", "rope", "", ""},
    {"attn.context", "scores and softmax", "attn.q_roped", "attention core"},
    {"attn.gated", "gate", "attn.context", "attention core"},
    {"gdn.u", "in_proj_qkv", "", ""},
    {"gdn.z", "in_proj_z", "", ""},
    {"gdn.b", "in_proj_b", "", ""},
    {"gdn.a", "in_proj_a", "", ""},
    {"gdn.conv_silu", "conv", "", ""},
    {"gdn.g", "decay", "", ""},
    {"gdn.beta", "beta", "", ""},
    {"gdn.o", "delta rule", "gdn.conv_silu", "delta rule core"},
    {"gdn.normed", "gated norm", "gdn.o", "delta rule core"},
    {"mixer_out", "out_proj", "attn.gated,attn.context,gdn.normed", "mixer"},
    {"mlp_in", "post-attention norm", "mixer_out", "mixer or post-attention norm"},
    {"mlp.gate", "gate_proj", "", ""},
    {"mlp.up", "up_proj", "", ""},
    {"mlp.activated", "activation", "mlp.gate", "MLP up to its activation"},
    {"moe.router_logits", "router", "", ""},
    {"moe.router_weights", "router weights", "moe.router_logits", "router"},
    {"moe.expert_out", "experts", "", ""},
    {"moe.routed_out", "weighted sum of experts", "moe.expert_out", "experts"},
    {"moe.shared_gate_logit", "gate of the shared expert", "", ""},
    {"moe.shared_out_ungated", "shared expert", "", ""},
    {"mlp_out", "down_proj", "mlp.activated", "MLP"},
    {"layer_out", "residual", "mlp_out", "MLP or residual"},
    {"final_norm", "final norm", "", ""},
    {kLogits, "lm_head", "final_norm", "final norm or lm_head"},
};
// What a mixture calls the last stage of its block.
constexpr std::string_view kMixtureOutput = "gate and sum of the shared expert";

const Stage* FindStage(std::string_view tap) {
  const auto* found = std::find_if(std::begin(kStages), std::end(kStages),
                                   [&](const Stage& stage) { return stage.tap == tap; });
  return found == std::end(kStages) ? nullptr : found;
}

std::string NameOf(const Stage& stage, int layer, const Tapped& engine) {
  if (stage.tap == "mlp_out" && engine.contains({layer, "moe.routed_out"})) {
    return std::string(kMixtureOutput);
  }
  if (stage.inputs.empty()) return std::string(stage.name);
  for (const absl::string_view input :
       absl::StrSplit(absl::string_view(stage.inputs.data(), stage.inputs.size()), ',')) {
    if (engine.contains({layer, std::string(input)})) return std::string(stage.name);
  }
  return std::string(stage.coarse);
}

// "L03.attn.v" or "embedding".
std::optional<std::pair<int, std::string>> ParseTapName(const std::string& name) {
  const size_t dot = name.find('.');
  int layer = -1;
  if (name[0] == 'L' && dot != std::string::npos &&
      absl::SimpleAtoi(name.substr(1, dot - 1), &layer)) {
    return std::make_pair(layer, name.substr(dot + 1));
  }
  return std::make_pair(-1, name);
}

// Swaps in what the engine tapped and keeps what the model computed for it.
class SwapIns : public TapSink {
 public:
  explicit SwapIns(const Tapped& engine) : engine_(engine) {}
  bool Wants(int layer, std::string_view stage) const override {
    return engine_.contains({layer, std::string(stage)});
  }
  void Tap(int layer, std::string_view stage, std::vector<int64_t>,
           std::vector<double> values) override {
    order.emplace_back(layer, stage);
    computed[order.back()] = std::move(values);
  }
  absl::Span<const double> SwapIn(int layer, std::string_view stage) override {
    return engine_.at({layer, std::string(stage)});
  }

  std::vector<std::pair<int, std::string>> order;
  Tapped computed;

 private:
  const Tapped& engine_;
};

absl::Status RunSwapped(const ModelRecipe& recipe, ExactVariant variant,
                        const std::vector<int32_t>& ids, SwapIns& sink) {
  auto model = MakeExactModel(std::make_shared<const Model>(GenerateModel(recipe)), variant);
  if (!model.ok()) return model.status();
  absl::StatusOr<Logits> logits =
      (*model)->NewSession()->Extend({.ids = ids, .all_positions = false, .taps = &sink});
  if (!logits.ok()) return logits.status();
  if (sink.Wants(-1, kLogits)) sink.Tap(-1, kLogits, {}, std::move(logits->values));
  return absl::OkStatus();
}

// Largest error and RMS; infinite where a value is not finite.
struct Deviation {
  double largest = 0, rms = 0;
  void Widen(const Deviation& other) {
    largest = std::max(largest, other.largest);
    rms = std::max(rms, other.rms);
  }
};

// Leaves out the elements of positions that are not judged; empty: all are.
Deviation Deviate(const std::vector<double>& exact, const std::vector<double>& other,
                  const std::vector<bool>& judged) {
  Deviation deviation;
  double squares = 0;
  const size_t width = judged.empty() ? exact.size() : exact.size() / judged.size();
  for (size_t i = 0; i < exact.size(); ++i) {
    if (!judged.empty() && !judged[i / width]) continue;
    const double error = std::abs(exact[i] - other[i]);
    if (!std::isfinite(error)) return {INFINITY, INFINITY};
    deviation.largest = std::max(deviation.largest, error);
    squares += error * error;
  }
  deviation.rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(exact.size(), 1)));
  return deviation;
}

// Where the engine's own router logits leave in doubt which experts are chosen, nothing that
// follows from the choice is judged.
std::vector<bool> DecidedPositions(const ModelSpec& spec, const std::vector<double>& router) {
  constexpr double kDoubt = 1e-5;  // of the largest logit; far above fp32 rounding
  const auto experts = static_cast<size_t>(spec.experts);
  const auto chosen = static_cast<size_t>(spec.experts_per_token);
  std::vector<bool> decided;
  for (size_t at = 0; at + experts <= router.size(); at += experts) {
    std::vector<double> row(router.begin() + static_cast<ptrdiff_t>(at),
                            router.begin() + static_cast<ptrdiff_t>(at + experts));
    std::sort(row.begin(), row.end(), std::greater<>());
    // The order of the chosen ones counts as well: their outputs are compared one by one.
    bool apart = true;
    for (size_t i = 0; i < chosen && i + 1 < experts; ++i) {
      apart =
          apart && row[i] - row[i + 1] > kDoubt * std::max(std::abs(row[0]), std::abs(row.back()));
    }
    decided.push_back(apart);
  }
  return decided;
}

bool FollowsFromChoice(std::string_view tap) {
  return tap == "moe.router_weights" || tap == "moe.expert_out" || tap == "moe.routed_out";
}

class Ladder {
 public:
  Ladder(const ModelRecipe& recipe, const std::vector<int32_t>& ids, const Tapped& engine)
      : recipe_(recipe), ids_(ids), engine_(engine), exact_(engine) {}

  absl::StatusOr<std::vector<StageError>> Climb() {
    if (absl::Status status = RunSwapped(recipe_, ExactVariant::kFp64, ids_, exact_); !status.ok())
      return status;
    if (absl::Status status = CheckShapes(); !status.ok()) return status;
    for (const auto& key : exact_.order) errors_[key] = DeviationOf(key, engine_.at(key));
    constexpr int kNudges = 12;
    for (int nudge = 0; nudge <= kNudges && (nudge == 0 || AnyBad()); ++nudge) {
      for (const ExactVariant variant :
           {ExactVariant::kFp32Recurrent, ExactVariant::kFp32ChunkedReversed,
            ExactVariant::kFp32ChunkedPairwise}) {
        if (absl::Status status = Widen(nudge, variant); !status.ok()) return status;
      }
    }
    return Result();
  }

 private:
  using Key = std::pair<int, std::string>;

  absl::Status CheckShapes() const {
    for (const Key& key : exact_.order) {
      if (exact_.computed.at(key).size() == engine_.at(key).size()) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("the engine taps ", engine_.at(key).size(), " values at ", key.second,
                       " of layer ", key.first, ", not ", exact_.computed.at(key).size()));
    }
    return absl::OkStatus();
  }

  Deviation DeviationOf(const Key& key, const std::vector<double>& values) const {
    std::vector<bool> judged;
    const auto router = engine_.find({key.first, "moe.router_logits"});
    if (FollowsFromChoice(key.second) && router != engine_.end()) {
      judged = DecidedPositions(recipe_.spec, router->second);
    }
    return Deviate(exact_.computed.at(key), values, judged);
  }

  absl::Status Widen(int nudge, ExactVariant variant) {
    ModelRecipe nudged = recipe_;
    nudged.weights.nudge = nudge;
    SwapIns reference(engine_);
    if (absl::Status status = RunSwapped(nudged, variant, ids_, reference); !status.ok())
      return status;
    for (const auto& [key, values] : reference.computed) {
      spread_[key].Widen(DeviationOf(key, values));
    }
    return absl::OkStatus();
  }

  Deviation BoundOf(const Key& key) const {
    double largest = 0;
    for (const double value : exact_.computed.at(key)) largest = std::max(largest, std::abs(value));
    const double floor = kFloorUlps * Ulp(DType::kF32, largest);
    const double widening = kReferenceMultiplier * kLuck;
    const Deviation& spread = spread_.at(key);
    return {widening * spread.largest + floor, widening * spread.rms + floor};
  }

  double RatioOf(const Key& key) const {
    const Deviation error = errors_.at(key), bound = BoundOf(key);
    return std::max(error.largest / bound.largest, error.rms / bound.rms);
  }

  bool AnyBad() const {
    return std::any_of(exact_.order.begin(), exact_.order.end(),
                       [&](const Key& key) { return !(RatioOf(key) <= 1); });
  }

  std::vector<StageError> Result() const {
    std::vector<StageError> result;
    for (const Key& key : exact_.order) {
      const Stage* stage = FindStage(key.second);
      if (stage == nullptr) continue;
      const std::vector<double>& exact = exact_.computed.at(key);
      const bool finite =
          std::all_of(exact.begin(), exact.end(), [](double v) { return std::isfinite(v); });
      if (!finite) break;
      const double ratio = RatioOf(key);
      result.push_back({.layer = key.first,
                        .stage = NameOf(*stage, key.first, engine_),
                        .added_error = errors_.at(key).largest,
                        .bound = BoundOf(key).largest,
                        .ratio = std::isnan(ratio) ? INFINITY : ratio});
    }
    return result;
  }

  const ModelRecipe& recipe_;
  const std::vector<int32_t>& ids_;
  const Tapped& engine_;
  SwapIns exact_;
  std::map<Key, Deviation> errors_, spread_;
};

}  // namespace

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
    if (const auto key = ParseTapName(tensor.name); FindStage(key->second) != nullptr) {
      tapped[*key] = *std::move(values);
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

absl::StatusOr<std::vector<StageError>> StageErrors(const ModelRecipe& model,
                                                    const std::vector<int32_t>& ids,
                                                    const Tapped& engine) {
  return Ladder(model, ids, engine).Climb();
}

}  // namespace crosscheck
