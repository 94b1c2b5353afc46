#include "properties/judges/stage_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "properties/judges/stage_names.h"
#include "reference/error_bound.h"
#include "reference/reference_model.h"

namespace crosscheck {
namespace {

// Swaps in what the engine tapped and keeps what the model computed for it.
class SwapIns : public TapSink {
 public:
  explicit SwapIns(const Tapped& engine) : engine_(engine) {}
  // The choice of experts always, as it says what can be compared.
  bool Wants(int layer, std::string_view stage) const override {
    return stage == kSelected || engine_.contains({layer, std::string(stage)});
  }
  void Tap(int layer, std::string_view stage, std::vector<int64_t>,
           std::vector<double> values) override {
    const std::pair<int, std::string> key(layer, stage);
    if (engine_.contains(key)) order.push_back(key);
    computed[key] = std::move(values);
  }
  absl::Span<const double> SwapIn(int layer, std::string_view stage) override {
    return engine_.at({layer, std::string(stage)});
  }

  std::vector<std::pair<int, std::string>> order;
  Tapped computed;

 private:
  const Tapped& engine_;
};

absl::Status RunSwapped(std::shared_ptr<const Model> weights, ExactVariant variant,
                        const std::vector<int32_t>& ids, SwapIns& sink) {
  auto model = MakeExactModel(std::move(weights), variant);
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

// Whether router logits leave in doubt which experts are chosen, or in which order.
bool InDoubt(std::vector<double> logits, size_t chosen) {
  constexpr double kDoubt = 1e-5;  // of the largest logit; far above fp32 rounding
  std::sort(logits.begin(), logits.end(), std::greater<>());
  const double largest = std::max(std::abs(logits.front()), std::abs(logits.back()));
  for (size_t i = 0; i < chosen && i + 1 < logits.size(); ++i) {
    if (logits[i] - logits[i + 1] <= kDoubt * largest) return true;
  }
  return false;
}

// Positions at which what follows from the choice of experts can be compared: both chose the same,
// or `router`, the logits that both were given, leave no doubt. Null: not known, or no excuse.
std::vector<bool> SameChoice(ptrdiff_t experts, ptrdiff_t chosen, const std::vector<double>& exact,
                             const std::vector<double>* other, const std::vector<double>* router) {
  std::vector<bool> same(exact.size() / static_cast<size_t>(chosen));
  for (size_t i = 0; i < same.size(); ++i) {
    const auto at = static_cast<ptrdiff_t>(i);
    same[i] = other != nullptr && other->size() == exact.size() &&
              std::equal(exact.begin() + at * chosen, exact.begin() + (at + 1) * chosen,
                         other->begin() + at * chosen);
    if (same[i] || router == nullptr) continue;
    same[i] = !InDoubt({router->begin() + at * experts, router->begin() + (at + 1) * experts},
                       static_cast<size_t>(chosen));
  }
  return same;
}

bool FollowsFromChoice(std::string_view tap) {
  return tap == kSelected || tap == "moe.router_weights" || tap == "moe.expert_out" ||
         tap == "moe.routed_out";
}

const std::vector<double>* FindValues(const Tapped& tapped, int layer, const char* stage) {
  const auto found = tapped.find({layer, stage});
  return found == tapped.end() ? nullptr : &found->second;
}

class Climb {
 public:
  Climb(const NudgedModel& model, const std::vector<int32_t>& ids, const Tapped& engine)
      : model_(model), ids_(ids), engine_(engine), exact_(engine) {}

  absl::StatusOr<StageLadder> Run() {
    std::shared_ptr<const Model> weights = model_(0);
    experts_ = weights->spec.experts;
    chosen_ = weights->spec.experts_per_token;
    if (absl::Status s = RunSwapped(std::move(weights), ExactVariant::kFp64, ids_, exact_); !s.ok())
      return s;
    DropMisfits();
    for (const auto& key : exact_.order) errors_[key] = DeviationOf(key, engine_);
    constexpr int kNudges = 12;
    for (int nudge = 0; nudge <= kNudges && (nudge == 0 || AnyBad()); ++nudge) {
      for (const ExactVariant variant :
           {ExactVariant::kFp32Recurrent, ExactVariant::kFp32ChunkedReversed,
            ExactVariant::kFp32ChunkedPairwise}) {
        if (absl::Status status = Widen(nudge, variant); !status.ok()) return status;
      }
    }
    return StageLadder{.stages = Result(), .misfits = std::move(misfits_)};
  }

 private:
  using Key = std::pair<int, std::string>;

  // What has another size was not swapped in and cannot be compared; the next stage answers for it.
  void DropMisfits() {
    std::erase_if(exact_.order, [&](const Key& key) {
      const size_t expected = exact_.computed.at(key).size(), tapped = engine_.at(key).size();
      if (expected == tapped) return false;
      misfits_.push_back({key.first, absl::StrCat("the engine has ", tapped, " values at ",
                                                  key.second, ", the model ", expected)});
      return true;
    });
  }

  // `other`: the engine's taps, or what a reference computed. A reference is excused wherever it
  // chose otherwise, the engine where it may.
  Deviation DeviationOf(const Key& key, const Tapped& other) const {
    std::vector<bool> judged;
    const std::vector<double>* const choice = FindValues(exact_.computed, key.first, kSelected);
    const std::vector<double>* const router = FindValues(engine_, key.first, kRouter);
    if (FollowsFromChoice(key.second) && choice != nullptr && FitsRouter(router, *choice)) {
      judged = SameChoice(experts_, chosen_, *choice, FindValues(other, key.first, kSelected),
                          &other == &engine_ ? router : nullptr);
    }
    return Deviate(exact_.computed.at(key), other.at(key), judged);
  }

  bool FitsRouter(const std::vector<double>* router, const std::vector<double>& choice) const {
    return router != nullptr && router->size() * static_cast<size_t>(chosen_) ==
                                    choice.size() * static_cast<size_t>(experts_);
  }

  absl::Status Widen(int nudge, ExactVariant variant) {
    SwapIns reference(engine_);
    if (absl::Status s = RunSwapped(model_(nudge), variant, ids_, reference); !s.ok()) return s;
    for (const Key& key : exact_.order) {
      spread_[key].Widen(DeviationOf(key, reference.computed));
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
      const std::vector<double>& exact = exact_.computed.at(key);
      const bool finite =
          std::all_of(exact.begin(), exact.end(), [](double v) { return std::isfinite(v); });
      if (!finite) break;
      const double ratio = RatioOf(key);
      result.push_back({.layer = key.first,
                        .stage = StageName(key.first, key.second, engine_),
                        .added_error = errors_.at(key).largest,
                        .bound = BoundOf(key).largest,
                        .ratio = std::isnan(ratio) ? INFINITY : ratio});
    }
    return result;
  }

  const NudgedModel& model_;
  const std::vector<int32_t>& ids_;
  const Tapped& engine_;
  SwapIns exact_;
  int experts_ = 0, chosen_ = 0;
  std::map<Key, Deviation> errors_, spread_;
  std::vector<Misfit> misfits_;
};

}  // namespace

std::pair<int, std::string> ParseTapName(const std::string& name) {
  const size_t dot = name.find('.');
  int layer = -1;
  if (name[0] == 'L' && dot != std::string::npos &&
      absl::SimpleAtoi(name.substr(1, dot - 1), &layer)) {
    return {layer, name.substr(dot + 1)};
  }
  return {-1, name};
}

absl::StatusOr<StageLadder> StageErrors(const NudgedModel& model, const std::vector<int32_t>& ids,
                                        const Tapped& engine) {
  return Climb(model, ids, engine).Run();
}

}  // namespace crosscheck
