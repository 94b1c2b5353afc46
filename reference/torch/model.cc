// The libtorch reference: sessions check requests and keep states, the decoder computes.
#include <malloc.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reference/torch/factory.h"
#include "reference/torch/family_list.h"
#include "reference/torch/guarded.h"

namespace crosscheck::torch_reference {
namespace {

class Session : public ReferenceSession {
 public:
  Session(std::shared_ptr<const Model> model, std::shared_ptr<const Decoder> decoder,
          at::ScalarType dtype, std::vector<LayerState> states)
      : model_(std::move(model)),
        decoder_(std::move(decoder)),
        dtype_(dtype),
        states_(std::move(states)) {}

  absl::StatusOr<Logits> Extend(const ExtendRequest& request) override;
  int length() const override { return static_cast<int>(mask_.size()); }
  std::vector<Tensor> States() const override;

 private:
  absl::Status Check(const ExtendRequest& request) const;
  Step MakeStep(const ExtendRequest& request, const std::vector<uint8_t>& mask) const;

  std::shared_ptr<const Model> model_;  // the decoder borrows its memory
  std::shared_ptr<const Decoder> decoder_;
  at::ScalarType dtype_;
  std::vector<LayerState> states_;
  std::vector<uint8_t> mask_;  // of every position so far; 0 = padding
};

absl::Status Session::Check(const ExtendRequest& request) const {
  const ModelSpec& spec = model_->spec;
  if (request.ids.empty()) return absl::InvalidArgumentError("ids is empty; at least one expected");
  if (!request.mask.empty() && request.mask.size() != request.ids.size()) {
    return absl::InvalidArgumentError(absl::StrCat("mask has ", request.mask.size(),
                                                   " entries; expected one for each of the ",
                                                   request.ids.size(), " ids"));
  }
  for (const int32_t id : request.ids) {
    if (id < 0 || id >= spec.vocab) {
      return absl::InvalidArgumentError(
          absl::StrCat("id ", id, " is outside the vocabulary 0..", spec.vocab - 1));
    }
  }
  if (mask_.size() + request.ids.size() > static_cast<size_t>(spec.max_positions)) {
    return absl::InvalidArgumentError(absl::StrCat(mask_.size(), " + ", request.ids.size(),
                                                   " positions exceed max_positions ",
                                                   spec.max_positions));
  }
  return absl::OkStatus();
}

// mask covers all positions, past and new.
Step Session::MakeStep(const ExtendRequest& request, const std::vector<uint8_t>& mask) const {
  const auto past = static_cast<int64_t>(mask_.size());
  const auto total = static_cast<int64_t>(mask.size());
  Step step{.past = past,
            .count = total - past,
            .positions = {},
            .row_mask = {},
            .attention_mask = {},
            .taps = request.taps};
  std::vector<double> positions;
  int64_t real = 0;
  for (const uint8_t is_real : mask) {
    real += is_real != 0 ? 1 : 0;
    positions.push_back(static_cast<double>(std::max<int64_t>(real - 1, 0)));
  }
  const auto copy = [&](const void* data, int64_t count, at::ScalarType from, at::ScalarType to) {
    return at::from_blob(const_cast<void*>(data), {count}, from).to(to, false, /*copy=*/true);
  };
  step.positions = copy(positions.data() + past, step.count, at::kDouble, dtype_);
  const bool padded = real < total;
  if (step.count > 1 || padded) {
    // The smallest number instead of -inf: a row that sees no key at all becomes uniform and not
    // NaN.
    const double hidden = dtype_ == at::kDouble ? std::numeric_limits<double>::lowest()
                                                : std::numeric_limits<float>::lowest();
    step.attention_mask = at::full({step.count, total}, hidden, dtype_).triu_(past + 1);
    if (padded) {
      step.row_mask = copy(mask.data() + past, step.count, at::kByte, dtype_).unsqueeze_(1);
      step.attention_mask.masked_fill_(
          copy(mask.data(), total, at::kByte, at::kBool).logical_not_(), hidden);
    }
  }
  return step;
}

absl::StatusOr<Logits> Session::Extend(const ExtendRequest& request) {
  if (absl::Status status = Check(request); !status.ok()) return status;
  std::vector<uint8_t> mask = mask_;
  if (request.mask.empty()) {
    mask.insert(mask.end(), request.ids.size(), 1);
  } else {
    mask.insert(mask.end(), request.mask.begin(), request.mask.end());
  }
  std::vector<LayerState> states = states_;
  absl::StatusOr<Logits> logits = Guarded([&] {
    const Step step = MakeStep(request, mask);
    const at::Tensor ids =
        at::from_blob(const_cast<int32_t*>(request.ids.data()), {step.count}, at::kInt);
    at::Tensor hidden = decoder_->Forward(ids, step, states);
    if (!request.all_positions) hidden = hidden.narrow(0, step.count - 1, 1);
    return Logits{.vocab = model_->spec.vocab, .values = ToVector(decoder_->Head(hidden))};
  });
  if (logits.ok()) {
    states_ = std::move(states);
    mask_ = std::move(mask);
  }
  return logits;
}

std::vector<Tensor> Session::States() const {
  const c10::InferenceMode inference;
  std::vector<Tensor> tensors;
  const auto append = [&](size_t layer, const char* name, const at::Tensor& value) {
    if (!value.defined()) return;
    tensors.push_back(MakeTensor(absl::StrCat("layer", layer, ".", name), value.sizes().vec(),
                                 absl::MakeConstSpan(ToVector(value))));
  };
  for (size_t i = 0; i < states_.size(); ++i) {
    const LayerState& state = states_[i];
    append(i, "conv", state.conv.defined() ? state.conv.t() : state.conv);
    append(i, "recurrent", state.recurrent);
    append(i, "key", state.key);
    append(i, "value", state.value);
  }
  return tensors;
}

class TorchModel : public ReferenceModel {
 public:
  // `source`: the same model where its weights are taken, else null.
  TorchModel(std::shared_ptr<const Model> model, Model* source, at::ScalarType dtype,
             const FamilyBlocks& blocks)
      : model_(std::move(model)),
        dtype_(dtype),
        decoder_(std::make_shared<const Decoder>(Weights(*model_, dtype, source), blocks)) {
    empty_states_ = decoder_->EmptyStates();
  }
  const ModelSpec& spec() const override { return model_->spec; }
  std::unique_ptr<ReferenceSession> NewSession() const override {
    return std::make_unique<Session>(model_, decoder_, dtype_, empty_states_);
  }

 private:
  std::shared_ptr<const Model> model_;
  at::ScalarType dtype_;
  std::shared_ptr<const Decoder> decoder_;
  std::vector<LayerState> empty_states_;
};

// Made once before any work.
void PrepareOnce() {
  at::set_num_threads(1);  // a pool would make results depend on the machine
  // Activations of some hundred kilobytes come and go; without this each one is given back to the
  // system and faulted in again, a third of the time of a 200-token prefill.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

absl::StatusOr<std::unique_ptr<ReferenceModel>> Make(std::shared_ptr<const Model> model,
                                                     Model* source, TorchPrecision precision) {
  PrepareProcess();
  const std::string_view name = kFamilyNames[static_cast<size_t>(model->spec.family)];
  const auto* const family =
      std::find_if(std::begin(kListedFamilies), std::end(kListedFamilies),
                   [&](const ListedFamily& listed) { return listed.name == name; });
  if (family == std::end(kListedFamilies)) {
    return absl::UnimplementedError(
        absl::StrCat("the libtorch reference has no family ", std::string(name)));
  }
  const at::ScalarType dtype = precision == TorchPrecision::kFp64 ? at::kDouble : at::kFloat;
  return Guarded([&]() -> std::unique_ptr<ReferenceModel> {
    return std::make_unique<TorchModel>(std::move(model), source, dtype, family->blocks());
  });
}

}  // namespace

void PrepareProcess() {
  static std::once_flag prepared;
  std::call_once(prepared, PrepareOnce);
}

}  // namespace crosscheck::torch_reference

void crosscheck_make_torch_model(std::shared_ptr<const crosscheck::Model>* model,
                                 crosscheck::TorchPrecision precision,
                                 crosscheck::TorchModelResult* result) {
  *result = crosscheck::torch_reference::Make(std::move(*model), nullptr, precision);
}

void crosscheck_make_torch_model_from(std::shared_ptr<crosscheck::Model>* model,
                                      crosscheck::TorchPrecision precision,
                                      crosscheck::TorchModelResult* result) {
  crosscheck::Model* const source = model->get();
  *result = crosscheck::torch_reference::Make(std::move(*model), source, precision);
}
