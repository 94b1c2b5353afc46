#include "quality/layers.h"

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "properties/judges/stage_errors.h"
#include "properties/judges/stage_names.h"
#include "quality/metrics/layer_distance.h"
#include "reference/checkpoint.h"
#include "reference/nudge.h"

namespace crosscheck::quality {
namespace {

// The added error takes some forty passes of the exact model; above this product of weights and
// tokens they would take hours.
constexpr double kMostWork = 5e8;

// Some twenty stages of every layer travel in one message of at most 64 MiB.
constexpr double kLayerBytes = 48e6;

using Key = std::pair<int, std::string>;

// The embedding, the layers, what follows them.
bool InOrder(const Key& a, const Key& b) {
  const auto place = [](const Key& key) {
    const int layer = key.first < 0 && key.second != "embedding" ? INT_MAX : key.first;
    return std::pair(layer, StageOrder(key.second));
  };
  return place(a) < place(b);
}

class Layers {
 public:
  Layers(const LayerInputs& inputs, ConfigurationResult& result)
      : inputs_(inputs), result_(result) {}

  absl::Status Run() {
    const int items = inputs_.candidate->Items("layers");
    if (items == 0) return absl::OkStatus();
    const bool known = !inputs_.candidate_folder.empty();
    if (absl::Status status = known ? ReadModel() : absl::OkStatus(); !status.ok()) return status;
    for (int item = 0; item < items; ++item) {
      if (absl::Status status = AddItem(item); !status.ok()) return status;
      if (!known) continue;
      if (absl::Status status = AddResidual(item); !status.ok()) return status;
    }
    if (!known) result_.skips.push_back({"added error", "the weights are not known"});
    if (absl::Status s = known ? AddErrors(items) : absl::OkStatus(); !s.ok()) return s;
    std::sort(order_.begin(), order_.end(), InOrder);
    for (const Key& key : order_) result_.layers.push_back(Row(key));
    return absl::OkStatus();
  }

 private:
  absl::Status ReadModel() {
    auto weights = ReadCheckpoint(inputs_.candidate_folder);
    if (!weights.ok()) return weights.status();
    model_ = std::make_shared<const Model>(*std::move(weights));
    return absl::OkStatus();
  }

  absl::Status AddItem(int item) {
    auto names = inputs_.candidate->Names("layers", item);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      auto theirs = inputs_.candidate->Read("layers", item, name);
      if (!theirs.ok()) return theirs.status();
      auto ours = inputs_.reference->Read("layers", item, name);
      if (absl::IsNotFound(ours.status()) || !IsStage(ParseTapName(name).second)) continue;
      if (!ours.ok()) return ours.status();
      if (absl::Status status = AddStage(name, **ours, **theirs); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // An engine that shows no residual stream may show all that is added to it.
  absl::Status AddResidual(int item) {
    const std::vector<int32_t> ids =
        LayerIds(inputs_.forced->items[static_cast<size_t>(item)].ids, model_->spec);
    const auto hidden = static_cast<size_t>(model_->spec.hidden);
    const absl::Span<const float> embedding = model_->Get("embed_tokens.weight");
    std::vector<double> residual;
    for (const int32_t id : ids) {
      const auto row = embedding.subspan(static_cast<size_t>(id) * hidden, hidden);
      residual.insert(residual.end(), row.begin(), row.end());
    }
    for (int layer = 0; layer < static_cast<int>(model_->spec.layers.size()); ++layer) {
      const std::string name = absl::StrFormat("L%02d.layer_out", layer);
      if (inputs_.candidate->Read("layers", item, name).ok()) return absl::OkStatus();
      for (const char* branch : {"mixer_out", "mlp_out"}) {
        auto tensor =
            inputs_.candidate->Read("layers", item, absl::StrFormat("L%02d.%s", layer, branch));
        if (!tensor.ok()) return absl::OkStatus();  // not shown: no residual
        auto values = (*tensor)->ToDoubles();
        if (!values.ok()) return values.status();
        if (values->size() != residual.size()) return absl::OkStatus();  // StageErrors names it
        for (size_t i = 0; i < residual.size(); ++i) residual[i] += (*values)[i];
      }
      auto ours = inputs_.reference->Read("layers", item, name);
      if (!ours.ok()) return absl::OkStatus();
      const Tensor theirs = MakeTensor(name, (*ours)->shape, absl::MakeConstSpan(residual));
      if (absl::Status status = AddStage(name, **ours, theirs); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status AddStage(const std::string& name, const Tensor& ours, const Tensor& theirs) {
    auto a = ours.ToDoubles(), b = theirs.ToDoubles();
    if (!a.ok()) return a.status();
    if (!b.ok()) return b.status();
    if (ours.shape != theirs.shape || ours.shape.empty() || ours.shape[0] == 0) {
      return absl::OkStatus();  // StageErrors names it
    }
    const Key key = ParseTapName(name);
    const auto [place, fresh] = distances_.try_emplace(key);
    if (fresh) order_.push_back(key);
    const size_t rows = static_cast<size_t>(ours.shape[0]), width = a->size() / rows;
    for (size_t row = 0; row < rows; ++row) {
      place->second.Add(absl::MakeConstSpan(*a).subspan(row * width, width),
                        absl::MakeConstSpan(*b).subspan(row * width, width));
    }
    return absl::OkStatus();
  }

  // Of the candidate's taps by swap-in, on its own weights.
  absl::Status AddErrors(int items) {
    if (inputs_.adapted) {
      result_.skips.push_back({"added error", "with an adapter the stages' own weights differ"});
      return absl::OkStatus();
    }
    double size = 0;
    for (const auto& values : model_->values) size += static_cast<double>(values.size());
    for (int item = 0; item < items; ++item) {
      const std::vector<int32_t> ids =
          LayerIds(inputs_.forced->items[static_cast<size_t>(item)].ids, model_->spec);
      if (size * static_cast<double>(ids.size()) > kMostWork) {
        result_.skips.push_back({"added error", "the model is too large for forty exact passes"});
        return absl::OkStatus();
      }
      if (absl::Status status = AddErrorsOf(item, ids); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status AddErrorsOf(int item, const std::vector<int32_t>& ids) {
    auto names = inputs_.candidate->Names("layers", item);
    if (!names.ok()) return names.status();
    Tapped tapped;
    for (const std::string& name : *names) {
      const Key key = ParseTapName(name);
      auto tensor = inputs_.candidate->Read("layers", item, name);
      if (!tensor.ok()) return tensor.status();
      auto values = (*tensor)->ToDoubles();
      if (!values.ok()) return values.status();
      if (IsStage(key.second)) tapped[key] = *std::move(values);
    }
    const auto nudged = [this](int nudge) {
      if (nudge == 0) return model_;
      auto copy = std::make_shared<Model>(*model_);
      NudgeWeights(nudge, *copy);
      return std::shared_ptr<const Model>(std::move(copy));
    };
    auto ladder = StageErrors(nudged, ids, tapped);
    if (!ladder.ok()) return ladder.status();
    for (const Misfit& misfit : ladder->misfits)
      result_.findings.push_back({"layers", misfit.text});
    for (const StageError& stage : ladder->stages) {
      double& ratio = added_.try_emplace({stage.layer, stage.stage}, 0.0).first->second;
      ratio = std::max(ratio, stage.ratio);
    }
    tapped_ = std::move(tapped);
    return absl::OkStatus();
  }

  LayerStage Row(const Key& key) const {
    const LayerDistance::Result d = distances_.at(key).Summary();
    LayerStage row{.layer = key.first,
                   .stage = StageName(key.first, key.second, tapped_),
                   .cosine_mean = d.cosine_mean,
                   .cosine_least = d.cosine_least,
                   .cosine_q01 = d.cosine_q01,
                   .relative_error_mean = d.relative_mean,
                   .relative_error_q99 = d.relative_q99,
                   .relative_error_largest = d.relative_largest,
                   .positions = d.positions,
                   .zero_norms = d.zero_norms};
    const auto added = added_.find({key.first, row.stage});
    if (added != added_.end()) row.added_error_ratio = added->second;
    return row;
  }

  const LayerInputs& inputs_;
  ConfigurationResult& result_;
  std::shared_ptr<const Model> model_;  // what the candidate computes with
  std::map<Key, LayerDistance> distances_;
  std::vector<Key> order_;
  std::map<Key, double> added_;  // by layer and name of the stage
  Tapped tapped_;
};

}  // namespace

std::vector<int32_t> LayerIds(const std::vector<int32_t>& ids, const ModelSpec& spec) {
  const double floats = 20.0 * static_cast<double>(spec.layers.size()) *
                        std::max({spec.hidden, spec.intermediate, spec.conv_channels()});
  const auto most = static_cast<size_t>(std::clamp(kLayerBytes / (4 * floats), 4.0, 64.0));
  return {ids.begin(), ids.begin() + static_cast<ptrdiff_t>(std::min(most, ids.size()))};
}

absl::Status MeasureLayers(const LayerInputs& inputs, ConfigurationResult& result) {
  return Layers(inputs, result).Run();
}

}  // namespace crosscheck::quality
