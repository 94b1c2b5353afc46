#include "engines/faulty_engine.h"

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engines/faults/fault.h"
#include "engines/request_fields.h"
#include "engines/sampler_ops.h"
#include "reference/checkpoint.h"

namespace crosscheck {
namespace {

class FaultyEngine : public Engine {
 public:
  FaultyEngine(Fault fault, std::unique_ptr<Engine> inner)
      : fault_(fault), inner_(std::move(inner)) {
    if (fault.edit_model != nullptr) edit_model_ = fault.edit_model;
  }
  FaultyEngine(std::function<void(Model&)> edit_model, std::unique_ptr<Engine> inner)
      : fault_({.name = "", .answer = nullptr}),
        edit_model_(std::move(edit_model)),
        inner_(std::move(inner)) {}

  Reply Call(const Message& request) override {
    const std::string op = StringField(request.head, "op").value_or("");
    if (op == "load") return Load(request);
    const bool meant = fault_.op.empty() || op == fault_.op;
    if (!meant || fault_.answer == nullptr) return inner_->Call(request);
    // The sampler needs no model.
    if (op == fault_.op && IsSamplerOp(op)) return fault_.answer(*inner_, request, ModelSpec());
    const auto spec = specs_.find(StringField(request.head, "model").value_or(""));
    if (spec == specs_.end()) return inner_->Call(request);
    return fault_.answer(*inner_, request, spec->second);
  }

 private:
  // Checkpoints only; what cannot be read is the inner engine's to refuse.
  Reply Load(const Message& request) {
    if (fault_.op == "load" && fault_.answer != nullptr) {
      return fault_.answer(*inner_, request, ModelSpec());
    }
    const absl::StatusOr<std::string> path = StringField(request.head, "path");
    absl::StatusOr<Model> model = path.ok() ? ReadCheckpoint(*path) : path.status();
    if (!model.ok()) return inner_->Call(request);
    Reply reply;
    if (!edit_model_ && fault_.edit_load == nullptr) {
      reply = inner_->Call(request);
    } else {
      Json options = request.head.value("options", Json::object());
      if (edit_model_) edit_model_(*model);
      if (fault_.edit_load != nullptr) fault_.edit_load(*model, options);
      Message edited = EditedLoad(request, *model);
      edited.head["options"] = std::move(options);
      reply = inner_->Call(edited);
    }
    if (reply.ok()) specs_[reply.message.head["model"].get<std::string>()] = model->spec;
    return reply;
  }

  static Message EditedLoad(const Message& request, const Model& model) {
    Message edited;
    edited.head = request.head;
    edited.head.erase("path");
    edited.head["config"] = ToHuggingFaceConfig(model.spec, "float32");
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      edited.tensors.push_back(MakeTensor(model.tensors[i].name, model.tensors[i].shape,
                                          absl::MakeConstSpan(model.values[i])));
    }
    return edited;
  }

  const Fault fault_;
  std::function<void(Model&)> edit_model_;  // may be empty
  const std::unique_ptr<Engine> inner_;
  std::map<std::string, ModelSpec> specs_;
};

// `variant` is NAME@TENSOR.
std::unique_ptr<Engine> MakeWeightFault(std::string_view variant, std::unique_ptr<Engine>& inner) {
  const size_t at = variant.find('@');
  if (at == std::string_view::npos) return nullptr;
  const std::string tensor = absl::StrCat(".", std::string(variant.substr(at + 1)));
  for (const WeightFault& known : WeightFaults()) {
    if (known.name != variant.substr(0, at)) continue;
    return std::make_unique<FaultyEngine>(
        [edit = known.edit, tensor](Model& model) {
          for (size_t i = 0; i < model.tensors.size(); ++i) {
            if (absl::StrCat(".", model.tensors[i].name).ends_with(tensor)) edit(model, i);
          }
        },
        std::move(inner));
  }
  return nullptr;
}

}  // namespace

std::vector<Fault> AllFaults() {
  std::vector<Fault> all;
  for (const auto& faults : {ModelFaults(), LogitsFaults(), ProcessFaults(), GenerateFaults(),
                             SessionFaults(), SamplerFaults(), ProbeFaults(), StateFaults(),
                             LoadFaults(), FormatFaults(), AdapterFaults()}) {
    all.insert(all.end(), faults.begin(), faults.end());
  }
  return all;
}

std::vector<std::string_view> FaultNames() {
  std::vector<std::string_view> names;
  for (const Fault& fault : AllFaults()) names.push_back(fault.name);
  return names;
}

absl::StatusOr<std::unique_ptr<Engine>> MakeFaultyEngine(std::string_view fault,
                                                         std::unique_ptr<Engine> inner) {
  for (const Fault& known : AllFaults()) {
    if (known.name == fault) return std::make_unique<FaultyEngine>(known, std::move(inner));
  }
  if (std::unique_ptr<Engine> faulty = MakeWeightFault(fault, inner)) return faulty;
  std::vector<std::string> names;
  for (const Fault& known : AllFaults()) names.emplace_back(known.name);
  for (const WeightFault& known : WeightFaults()) {
    names.push_back(absl::StrCat(std::string(known.name), "@TENSOR"));
  }
  return absl::NotFoundError(
      absl::StrCat("no fault \"", std::string(fault), "\"; known: ", absl::StrJoin(names, ", ")));
}

}  // namespace crosscheck
