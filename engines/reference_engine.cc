#include "engines/reference_engine.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engines/reference_generate.h"
#include "engines/reference_ops.h"
#include "engines/request_fields.h"
#include "engines/sampler_ops.h"
#include "reference/adapter.h"
#include "reference/checkpoint.h"
#include "reference/nudge.h"
#include "reference/owned_model.h"
#include "reference/quantisation/weight_format.h"
#include "reference/weights.h"

namespace crosscheck {
namespace {

absl::Status Refused(const absl::Status& status) {
  return absl::FailedPreconditionError(status.message());
}

// Keeps apart what no reader can take (ReadCheckpoint).
absl::Status RefusedFiles(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status) ? status : Refused(status);
}

// The storage of a model is the dtype of its first tensor; exact values follow from any.
absl::StatusOr<Model> ModelFromMessage(const Message& request) {
  const absl::StatusOr<const Json*> config = ObjectField(request.head, "config");
  if (!config.ok()) return config.status();
  absl::StatusOr<ModelSpec> spec = FromHuggingFaceConfig(**config);
  if (!spec.ok()) return Refused(spec.status());
  Model model;
  model.spec = *std::move(spec);
  model.tensors = Tensors(model.spec);
  for (const TensorInfo& info : model.tensors) {
    const Tensor* tensor = request.Find(info.name);
    if (tensor == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat("tensor ", info.name, " is missing"));
    }
    if (tensor->shape != info.shape) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor ", info.name, " has another shape than config says"));
    }
    const absl::StatusOr<std::vector<double>> values = tensor->ToDoubles();
    if (!values.ok()) return Refused(values.status());
    model.values.emplace_back(values->begin(), values->end());
    if (model.values.size() == 1) model.storage = tensor->dtype;
  }
  return model;
}

absl::StatusOr<Model> ReadModel(const Message& request) {
  const bool has_path = FindField(request.head, "path") != nullptr;
  if (has_path == (FindField(request.head, "config") != nullptr)) {
    return absl::InvalidArgumentError("load takes either \"path\" or \"config\" with tensors");
  }
  if (!has_path) return ModelFromMessage(request);
  const absl::StatusOr<std::string> path = StringField(request.head, "path");
  if (!path.ok()) return path.status();
  absl::StatusOr<int64_t> nudge = 0;
  if (FindField(request.head, "nudge") != nullptr) nudge = IntegerField(request.head, "nudge");
  if (!nudge.ok()) return nudge.status();
  absl::StatusOr<Model> model = ReadCheckpoint(*path);
  if (!model.ok()) return RefusedFiles(model.status());
  NudgeWeights(static_cast<int>(*nudge), *model);
  return model;
}

// A model of one layer of each kind, to find out whether the implementation runs at all.
ModelSpec ProbeSpec() {
  ModelSpec spec;
  spec.layers = {LayerKind::kLinearAttention, LayerKind::kFullAttention};
  spec.vocab = spec.hidden = spec.intermediate = 4;
  spec.head_dim = spec.rotary_dim = 2;
  spec.linear_key_dim = spec.linear_value_dim = 2;
  return spec;
}

class ReferenceEngineImpl : public ReferenceEngine {
 public:
  ReferenceEngineImpl(std::string name, Factory factory, SamplerFactory sampler_factory,
                      DType answers, OwnerFactory owner_factory)
      : name_(std::move(name)),
        factory_(std::move(factory)),
        owner_factory_(std::move(owner_factory)),
        sampler_factory_(std::move(sampler_factory)),
        answers_(answers) {}

  Reply Call(const Message& request) override {
    absl::StatusOr<Message> answer = Answer(request);
    if (!answer.ok()) return FailedReply(answer.status());
    Reply reply;
    reply.message = *std::move(answer);
    reply.message.head["ok"] = true;
    return reply;
  }

  absl::StatusOr<std::string> LoadModel(std::shared_ptr<const Model> model) override {
    absl::StatusOr<std::unique_ptr<ReferenceModel>> loaded = factory_(model);
    if (!loaded.ok()) return loaded.status();
    std::string id = absl::StrCat("m", next_model_++);
    models_[id] = {*std::move(loaded), std::move(model), nullptr};
    return id;
  }

  void UnloadModel(const std::string& id) override { models_.erase(id); }

 private:
  struct Loaded {
    std::unique_ptr<ReferenceModel> reference;
    std::shared_ptr<const Model> model;
    std::unique_ptr<ReferenceModel> unadapted;  // the same without its adapter, once asked for
  };

  absl::StatusOr<Message> Answer(const Message& request) {
    const absl::StatusOr<std::string> op = StringField(request.head, "op");
    if (!op.ok()) return op.status();
    if (*op == "hello") return Hello(request.head);
    if (*op == "ping" || *op == "bye") return Message();
    // Requests are answered in order, so nothing is left to cancel.
    if (*op == "cancel") {
      const absl::StatusOr<int64_t> target = IntegerField(request.head, "target");
      if (!target.ok()) return target.status();
      return Message();
    }
    if (*op == "load") return Load(request);
    if (IsSamplerOp(*op)) return OnSampler([&] { return AnswerSampler(*sampler_, request); });
    return AnswerOnModel(*op, request.head);
  }

  absl::StatusOr<Message> AnswerOnModel(const std::string& op, const Json& request) {
    const ReferenceOp* known = FindReferenceOp(op);
    if (known == nullptr && op != "unload" && op != "generate") {
      return absl::UnimplementedError(absl::StrCat("op \"", op, "\""));
    }
    const absl::StatusOr<std::string> id = StringField(request, "model");
    if (!id.ok()) return id.status();
    const auto model = models_.find(*id);
    if (model == models_.end()) {
      return absl::InvalidArgumentError(absl::StrCat("no model \"", *id, "\""));
    }
    if (known != nullptr || op == "generate") return AnswerWith(model->second, known, request);
    models_.erase(model);
    return Message();
  }

  // Made on first use, as libtorch's costs a second.
  template <class Function>
  absl::StatusOr<Message> OnSampler(Function answer) {
    if (sampler_ == nullptr) {
      auto sampler = sampler_factory_();
      if (!sampler.ok()) return sampler.status();
      sampler_ = *std::move(sampler);
    }
    return answer();
  }

  // The model of a request: without its adapter when the request does not use it.
  absl::StatusOr<const ReferenceModel*> Select(Loaded& loaded, bool unused) {
    if (!unused || loaded.model->updates.empty()) return loaded.reference.get();
    if (loaded.unadapted == nullptr) {
      auto plain = std::make_shared<Model>(*loaded.model);
      plain->updates.clear();
      auto made = factory_(std::move(plain));
      if (!made.ok()) return made.status();
      loaded.unadapted = *std::move(made);
    }
    return loaded.unadapted.get();
  }

  // `op` null: generate. An answer from weights of another format than the checkpoint's, or with an
  // adapter, says so.
  absl::StatusOr<Message> AnswerWith(Loaded& loaded, const ReferenceOp* op, const Json& request) {
    const absl::StatusOr<bool> unused = AdapterUnused(request);
    if (!unused.ok()) return unused.status();
    const absl::StatusOr<const ReferenceModel*> reference = Select(loaded, *unused);
    if (!reference.ok()) return reference.status();
    absl::StatusOr<Message> answer =
        op != nullptr
            ? op->answer(**reference, answers_, request)
            : OnSampler([&] { return AnswerGenerate(**reference, *sampler_, answers_, request); });
    if (!answer.ok()) return answer;
    const Model& model = *loaded.model;
    if (model.format != WeightFormat::kF32) answer->head["format"] = FormatName(model.format);
    if (!model.updates.empty() && !*unused) {
      answer->head["counters"]["adapter"] = model.updates.size();
    }
    return answer;
  }

  // Requests name no adapter; "adapter": false leaves the loaded one out.
  static absl::StatusOr<bool> AdapterUnused(const Json& request) {
    const Json* field = FindField(request, "adapter");
    if (field == nullptr || field->is_null()) return false;
    if (!field->is_boolean()) return absl::InvalidArgumentError("adapter: expected true or false");
    return !field->get<bool>();
  }

  // Runs a model of a few weights, so that a lazily loaded implementation pays its start here and
  // not within the deadline of a case, and a broken one says so at once.
  absl::Status Probe() {
    ModelRecipe recipe;
    recipe.spec = ProbeSpec();
    const auto model = factory_(std::make_shared<const Model>(GenerateModel(recipe)));
    if (!model.ok()) return absl::InternalError(model.status().message());
    const int32_t ids[] = {1, 2};
    return (*model)->NewSession()->Extend({.ids = ids}).status();
  }

  absl::StatusOr<Message> Hello(const Json& request) {
    const absl::StatusOr<std::vector<int64_t>> versions = IntegersField(request, "protocol");
    if (!versions.ok()) return versions.status();
    if (std::find(versions->begin(), versions->end(), 1) == versions->end()) {
      return absl::UnimplementedError("protocol versions other than 1");
    }
    if (absl::Status status = Probe(); !status.ok()) return status;
    Message answer;
    answer.head = {
        {"protocol", 1},
        {"name", name_},
        {"version", "1"},
        {"build", __VERSION__},
        {"extensions", {"core", "model/1", "session/1", "generate/1", "sampler/1", "lora/1"}},
        {"environment", {{"threads", 1}}},
        {"limits",
         {{"masks", true},
          {"batched", false},
          {"chunked_prefill", true},
          {"logit_bias", true},
          {"storage", {"F32", "BF16", "F16"}},
          {"families", kFamilyNames}}}};
    return answer;
  }

  // One dtype and one thread; everything else is named as unsupported.
  absl::Status CheckOptions(const Json& request) const {
    if (FindField(request, "options") == nullptr) return absl::OkStatus();
    const absl::StatusOr<const Json*> options = ObjectField(request, "options");
    if (!options.ok()) return options.status();
    for (const auto& [key, value] : (*options)->items()) {
      if (key == "dtype" && !value.is_string()) {
        return absl::InvalidArgumentError("option dtype: expected a string");
      }
      const bool neutral = value.is_null() || (key == "threads" && value == 1) ||
                           (key == "dtype" && (value == "f32" || value == DTypeName()));
      const bool known = key == "dtype" || key == "threads";
      if (known && !neutral) {
        return absl::UnimplementedError(absl::StrCat("option ", key, " = ", value.dump()));
      }
    }
    return absl::OkStatus();
  }

  static std::string FormatName(WeightFormat format) {
    return std::string(kWeightFormatNames[static_cast<size_t>(format)]);
  }

  static absl::Status Adapt(const Json& request, Model& model) {
    if (FindField(request, "options") == nullptr) return absl::OkStatus();
    const Json* option = FindField(request["options"], "adapter");
    if (option == nullptr || option->is_null()) return absl::OkStatus();
    if (!option->is_string())
      return absl::InvalidArgumentError("option adapter: expected a folder");
    auto updates = ReadAdapter(model.spec, option->get_ref<const std::string&>());
    if (!updates.ok()) return Refused(updates.status());
    model.updates = *std::move(updates);
    return absl::OkStatus();
  }

  static absl::StatusOr<WeightFormat> FormatOption(const Json& request) {
    if (FindField(request, "options") == nullptr) return WeightFormat::kF32;
    const Json* option = FindField(request["options"], "format");
    if (option == nullptr || option->is_null()) return WeightFormat::kF32;
    if (!option->is_string()) return absl::InvalidArgumentError("option format: expected a string");
    const auto format = FindWeightFormat(option->get_ref<const std::string&>());
    if (format) return *format;
    return absl::UnimplementedError(absl::StrCat("option format = ", option->dump()));
  }

  std::string DTypeName() const { return answers_ == DType::kF64 ? "f64" : "f32"; }

  // A model that nobody else holds. With an adapter its weights are needed again (Select).
  absl::StatusOr<std::string> LoadOwned(std::shared_ptr<Model> model) {
    const bool whole = model->updates.empty() && model->head.empty();
    if (owner_factory_ == nullptr || !whole) return LoadModel(std::move(model));
    absl::StatusOr<std::unique_ptr<ReferenceModel>> loaded = owner_factory_(model);
    if (!loaded.ok()) return loaded.status();
    std::string id = absl::StrCat("m", next_model_++);
    models_[id] = {*std::move(loaded), std::move(model), nullptr};
    return id;
  }

  absl::StatusOr<Message> Load(const Message& request) {
    if (absl::Status status = CheckOptions(request.head); !status.ok()) return status;
    const absl::StatusOr<WeightFormat> format = FormatOption(request.head);
    if (!format.ok()) return format.status();
    absl::StatusOr<Model> model = ReadModel(request);
    if (!model.ok()) return model.status();
    if (absl::Status served = ServeAs(*format, *model); !served.ok()) return Refused(served);
    if (absl::Status adapted = Adapt(request.head, *model); !adapted.ok()) return adapted;
    const ModelSpec spec = model->spec;
    const absl::StatusOr<std::string> id = LoadOwned(std::make_shared<Model>(*std::move(model)));
    if (!id.ok()) return id.status();
    Message answer;
    answer.head = {
        {"model", *id},
        {"vocab", spec.vocab},
        {"context", spec.max_positions},
        {"layers", spec.layers.size()},
        {"paths", {"prompt", "readout", "session"}},
        {"echo", {{"dtype", DTypeName()}, {"threads", 1}, {"format", FormatName(*format)}}}};
    return answer;
  }

  const std::string name_;
  const Factory factory_;
  const OwnerFactory owner_factory_;
  const SamplerFactory sampler_factory_;
  std::unique_ptr<ReferenceSampler> sampler_;
  const DType answers_;
  std::map<std::string, Loaded> models_;
  int64_t next_model_ = 1;
};

template <size_t N>
int IndexOf(const std::string_view (&names)[N], std::string_view name) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

std::unique_ptr<ReferenceEngine> ReferenceEngine::Create(std::string name, Factory factory,
                                                         SamplerFactory sampler_factory,
                                                         DType answers,
                                                         OwnerFactory owner_factory) {
  return std::make_unique<ReferenceEngineImpl>(std::move(name), std::move(factory),
                                               std::move(sampler_factory), answers,
                                               std::move(owner_factory));
}

absl::StatusOr<std::unique_ptr<ReferenceEngine>> OpenReferenceEngine(std::string_view family,
                                                                     std::string_view variant) {
  const bool torch = family == "torch";
  const std::string_view effective = !variant.empty() ? variant : torch ? "fp32" : "fp64";
  const int index =
      torch ? IndexOf(kTorchPrecisionNames, effective) : IndexOf(kExactVariantNames, effective);
  if ((!torch && family != "exact") || index < 0) {
    return absl::NotFoundError(
        absl::StrCat("no reference ", std::string(family), ":", std::string(variant)));
  }
  std::string name(family);
  if (!variant.empty()) name.append(":").append(variant);
  const DType answers = effective.substr(0, 4) == "fp64" ? DType::kF64 : DType::kF32;
  if (torch) {
    return ReferenceEngine::Create(
        std::move(name),
        [index](std::shared_ptr<const Model> model) {
          return MakeTorchModel(std::move(model), static_cast<TorchPrecision>(index));
        },
        [index] { return MakeTorchSampler(static_cast<TorchPrecision>(index)); }, answers,
        [index](std::shared_ptr<Model> model) {
          return TakeTorchModel(std::move(model), static_cast<TorchPrecision>(index));
        });
  }
  return ReferenceEngine::Create(
      std::move(name),
      [index](std::shared_ptr<const Model> model) {
        return MakeExactModel(std::move(model), static_cast<ExactVariant>(index));
      },
      [] { return absl::StatusOr<std::unique_ptr<ReferenceSampler>>(MakeExactSampler()); },
      answers);
}

}  // namespace crosscheck
