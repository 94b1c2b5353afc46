#include "engines/faulty_engine.h"

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
      : fault_(fault), inner_(std::move(inner)) {}

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
    if (fault_.edit_model == nullptr && fault_.edit_load == nullptr) {
      reply = inner_->Call(request);
    } else {
      Json options = request.head.value("options", Json::object());
      if (fault_.edit_model != nullptr) fault_.edit_model(*model);
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
  const std::unique_ptr<Engine> inner_;
  std::map<std::string, ModelSpec> specs_;
};

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
  std::vector<std::string> names;
  for (const Fault& known : AllFaults()) names.emplace_back(known.name);
  return absl::NotFoundError(
      absl::StrCat("no fault \"", std::string(fault), "\"; known: ", absl::StrJoin(names, ", ")));
}

}  // namespace crosscheck
