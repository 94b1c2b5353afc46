#include "fuzz/executor.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engines/reference_engine.h"
#include "engines/registry.h"
#include "engines/scratch_folder.h"
#include "fuzz/stage_timer.h"
#include "reference/adapter.h"
#include "reference/checkpoint.h"

namespace crosscheck {
namespace {

// Everything that answers runs, as one index: the engine under test, then each reference.
constexpr size_t kEngineTarget = 0;
constexpr size_t kExactTarget = 1;                                             // + ExactVariant
constexpr size_t kTorchTarget = kExactTarget + std::size(kExactVariantNames);  // + TorchPrecision
constexpr size_t kTargets = kTorchTarget + std::size(kTorchPrecisionNames);

size_t TargetOf(Role role, int variant) {
  switch (role) {
    case Role::kEngine:
      return kEngineTarget;
    case Role::kExact:
      return kExactTarget;
    case Role::kPerturbed:
      return kExactTarget + static_cast<size_t>(variant);
    case Role::kTorch:
      return kTorchTarget + static_cast<size_t>(variant);
  }
  return kEngineTarget;
}

// The reference that the engine under test itself is; the exact fp64 model stays the oracle of
// every engine.
size_t TargetOfEngineName(const EngineName& name) {
  if (name.family == "torch") return kTorchTarget + (name.variant == "fp64" ? 1 : 0);
  for (size_t i = 1; name.family == "exact" && i < std::size(kExactVariantNames); ++i) {
    if (name.variant == kExactVariantNames[i]) return kExactTarget + i;
  }
  return kEngineTarget;
}

Message MakeRequest(Json head) {
  Message request;
  request.head = std::move(head);
  return request;
}

struct LoadedModel {
  std::shared_ptr<const ModelRecipe> recipe;
  std::shared_ptr<const Model> weights;
  std::string folder;                     // of its files, for the engine under test
  std::array<std::string, kTargets> ids;  // empty: not loaded there
  int64_t last_use = 0;
};

class RunExecutor : public Executor {
 public:
  RunExecutor(ExecutorOptions options, const EngineName& name,
              std::unique_ptr<ScratchFolder> scratch, std::unique_ptr<HostClient> host)
      : options_(std::move(options)),
        family_(name.family),
        itself_(TargetOfEngineName(name)),
        scratch_(std::move(scratch)),
        host_(std::move(host)),
        limits_(NarrowLimits(host_->hello())),
        models_(static_cast<size_t>(std::max(options_.models_kept, 1))) {
    for (size_t i = 0; i < models_.size(); ++i) {
      models_[i].folder = absl::StrCat(scratch_->path(), "/model-", i);
    }
  }

  std::unique_ptr<Observations> Observe(Runs runs, bool want_torch) override;
  const Json& hello() const override { return host_->hello(); }
  const Limits& limits() const override { return limits_; }
  const std::string& engine_name() const override { return options_.engine; }
  const std::string& engine_family() const override { return family_; }
  ReferenceUse references() const override { return options_.references; }
  StageSeconds seconds() const override {
    StageSeconds seconds = seconds_;
    seconds.transport = host_->transport_seconds();
    return seconds;
  }

  bool IsAvailable(const Run& run) const {
    return !IsEngineItself(run) && (options_.torch || run.role != Role::kTorch);
  }

  bool IsEngineItself(const Run& run) const {
    // On nudged weights it computes another function, so that its answer does not vouch for itself.
    return run.role != Role::kEngine && run.nudge == 0 &&
           TargetOf(run.role, run.variant) == itself_;
  }

  // A model that a run loaded by itself, in the process that has it.
  struct OwnModel {
    size_t target;
    int generation;
    std::string id;
  };

  // The model that this reply to the run holds, if it loaded one.
  std::optional<OwnModel> LoadedBy(const Run& run, const Message& request,
                                   const Reply& reply) const {
    if (!reply.ok() || request.head.value("op", "") != "load") return std::nullopt;
    const auto id = reply.message.head.find("model");
    if (id == reply.message.head.end() || !id->is_string()) return std::nullopt;
    return OwnModel{TargetOf(run.role, run.variant), host_->generation(), id->get<std::string>()};
  }

  void Forget(const OwnModel& model) {
    if (model.target != kEngineTarget) {
      references_[model.target]->UnloadModel(model.id);
    } else if (model.generation == host_->generation()) {
      CallEngine(MakeRequest({{"op", "unload"}, {"model", model.id}}), seconds_.engine_load);
    }
  }

  // A path in the scratch folder that no run has used.
  std::string NewFolder() { return absl::StrCat(scratch_->path(), "/files-", ++folders_); }

  Reply Perform(const Run& run, Message& request) {
    const size_t target = TargetOf(run.role, run.variant);
    if (target >= kTargets)
      return FailedReply(FailureKind::kBadRequest, "no such variant of a reference");
    if (run.model != nullptr) {
      LoadedModel& model = FindOrGenerate(ModelOf(run));
      if (NeedsLoad(model, target)) {
        std::optional<Failure> failure =
            target == kEngineTarget ? LoadInEngine(model) : LoadInReference(model, target);
        if (failure) {
          Reply reply;
          reply.failure = std::move(failure);
          return reply;
        }
      }
      request.head["model"] = model.ids[target];
    }
    return target == kEngineTarget ? CallEngine(request, seconds_.engine_run)
                                   : CallReference(target, request);
  }

 private:
  bool NeedsLoad(const LoadedModel& model, size_t target) {
    // A new process of the engine has none of the models of the one before.
    if (target == kEngineTarget && host_->generation() != generation_) ForgetEngineModels();
    return model.ids[target].empty();
  }

  void ForgetEngineModels() {
    generation_ = host_->generation();
    for (LoadedModel& model : models_) model.ids[kEngineTarget].clear();
  }

  LoadedModel& FindOrGenerate(const std::shared_ptr<const ModelRecipe>& recipe) {
    LoadedModel* oldest = &models_.front();
    for (LoadedModel& model : models_) {
      if (model.recipe == recipe || (model.recipe != nullptr && *model.recipe == *recipe)) {
        model.last_use = ++uses_;
        return model;
      }
      if (model.last_use < oldest->last_use) oldest = &model;
    }
    Unload(*oldest);
    StageTimer timer(seconds_.write_model);
    oldest->recipe = recipe;
    oldest->weights = std::make_shared<const Model>(GenerateModel(*recipe));
    oldest->last_use = ++uses_;
    return *oldest;
  }

  void Unload(LoadedModel& model) {
    for (size_t target = 0; target < kTargets; ++target) {
      if (model.ids[target].empty()) continue;
      if (target != kEngineTarget) {
        references_[target]->UnloadModel(model.ids[target]);
      } else if (!NeedsLoad(model, target)) {
        // What the engine answers is not part of any case; a process that dies here is started
        // again by the next call.
        CallEngine(MakeRequest({{"op", "unload"}, {"model", model.ids[target]}}),
                   seconds_.engine_load);
      }
      model.ids[target].clear();
    }
  }

  static std::string AdapterFolder(const LoadedModel& model) {
    return absl::StrCat(model.folder, "/adapter");
  }

  // The checkpoint as it is stored, a merged adapter included, and an adapter that the engine is to
  // apply.
  static absl::Status WriteFiles(const LoadedModel& model) {
    const Serving& serving = model.recipe->serving;
    if (serving.merged || serving == Serving{})
      return WriteCheckpoint(*model.weights, model.folder);
    ModelRecipe stored = *model.recipe;
    stored.serving = {};
    absl::Status written = WriteCheckpoint(GenerateModel(stored), model.folder);
    if (!written.ok() || model.weights->updates.empty()) return written;
    return WriteAdapter(model.weights->updates, AdapterFolder(model));
  }

  static Json LoadRequest(const LoadedModel& model) {
    Json request = {{"op", "load"}, {"path", model.folder}};
    const Serving& serving = model.recipe->serving;
    if (serving.format != WeightFormat::kF32) {
      request["options"]["format"] = kWeightFormatNames[static_cast<size_t>(serving.format)];
    }
    if (!model.weights->updates.empty()) request["options"]["adapter"] = AdapterFolder(model);
    return request;
  }

  std::optional<Failure> LoadInEngine(LoadedModel& model) {
    {
      StageTimer timer(seconds_.write_model);
      absl::Status written = WriteFiles(model);
      if (!written.ok())
        return FailedReply(FailureKind::kBadRequest, std::string(written.message())).failure;
    }
    Reply reply = CallEngine(MakeRequest(LoadRequest(model)), seconds_.engine_load);
    if (!reply.ok()) return std::move(reply.failure);
    const auto id = reply.message.head.find("model");
    if (id == reply.message.head.end() || !id->is_string() ||
        id->get_ref<const std::string&>().empty()) {
      return FailedReply(FailureKind::kProtocol,
                         "lying: the answer to load has no string \"model\"")
          .failure;
    }
    generation_ = host_->generation();
    model.ids[kEngineTarget] = id->get<std::string>();
    return std::nullopt;
  }

  std::optional<Failure> LoadInReference(LoadedModel& model, size_t target) {
    StageTimer timer(target >= kTorchTarget ? seconds_.torch : seconds_.exact);
    absl::Status opened = OpenReference(target);
    if (!opened.ok()) return CannotOpen(opened).failure;
    absl::StatusOr<std::string> id = references_[target]->LoadModel(model.weights);
    if (!id.ok()) return FailedReply(id.status()).failure;
    model.ids[target] = *std::move(id);
    return std::nullopt;
  }

  // Ours to fix (libtorch is missing), never a disagreement of references.
  static Reply CannotOpen(const absl::Status& status) {
    return FailedReply(FailureKind::kBadRequest, std::string(status.message()));
  }

  absl::Status OpenReference(size_t target) {
    if (references_[target] != nullptr) return absl::OkStatus();
    const bool torch = target >= kTorchTarget;
    absl::StatusOr<std::unique_ptr<ReferenceEngine>> opened =
        torch ? OpenReferenceEngine("torch", kTorchPrecisionNames[target - kTorchTarget])
              : OpenReferenceEngine("exact", kExactVariantNames[target - kExactTarget]);
    if (!opened.ok()) return opened.status();
    references_[target] = *std::move(opened);
    return absl::OkStatus();
  }

  Reply CallEngine(const Message& request, double& seconds) {
    Reply reply = host_->Call(request);
    seconds += reply.engine_seconds;
    if (!reply.ok()) {
      const FailureKind kind = reply.failure->kind;
      const bool killed = kind == FailureKind::kDead || kind == FailureKind::kSlow ||
                          kind == FailureKind::kProtocol;
      if (killed) ForgetEngineModels();
    }
    return reply;
  }

  Reply CallReference(size_t target, const Message& request) {
    StageTimer timer(target >= kTorchTarget ? seconds_.torch : seconds_.exact);
    absl::Status opened = OpenReference(target);
    if (!opened.ok()) return CannotOpen(opened);
    return references_[target]->Call(request);
  }

  const ExecutorOptions options_;
  const std::string family_;
  const size_t itself_;
  const std::unique_ptr<ScratchFolder> scratch_;
  const std::unique_ptr<HostClient> host_;
  const Limits limits_;
  int generation_ = 0;  // of the host that has the engine's models
  std::vector<LoadedModel> models_;
  std::array<std::unique_ptr<ReferenceEngine>, kTargets> references_;  // opened on first use
  int64_t uses_ = 0;
  int64_t folders_ = 0;
  StageSeconds seconds_;
};

class RunObservations : public Observations {
 public:
  RunObservations(RunExecutor& executor, Runs runs, bool want_torch)
      : executor_(executor),
        runs_(std::move(runs)),
        replies_(runs_.size()),
        want_torch_(want_torch) {}

  ~RunObservations() override {
    for (const RunExecutor::OwnModel& model : loaded_) executor_.Forget(model);
    for (const auto& [files, folder] : folders_) RemoveTree(folder.c_str());
  }

  const Reply& operator[](size_t i) override {
    if (replies_[i] == nullptr) {
      Run run = runs_.Take(i);
      if (run.derive) run.request = run.derive(*this);
      replies_[i] = std::make_unique<const Reply>(Perform(run));
    }
    return *replies_[i];
  }
  bool Available(size_t i) const override { return executor_.IsAvailable(runs_[i]); }
  bool Wanted(size_t i) const override {
    if (!want_torch_) return false;
    const Run run = runs_[i];
    return run.role == Role::kTorch && executor_.IsAvailable(run);
  }
  std::string_view engine_family() const override { return executor_.engine_family(); }

 private:
  Reply Perform(Run& run) {
    if (run.files != nullptr) {
      std::string& folder = folders_[run.files];
      if (folder.empty()) {
        folder = executor_.NewFolder();
        if (absl::Status written = WriteInputFiles(*run.files, folder); !written.ok()) {
          return FailedReply(FailureKind::kBadRequest, std::string(written.message()));
        }
      }
      run.request.head["path"] = folder;
    }
    Reply reply = executor_.Perform(run, run.request);
    if (run.files == nullptr) return reply;
    if (!reply.ok()) {  // verdicts must not depend on where the files lie
      const std::string& folder = folders_[run.files];
      absl::StrReplaceAll({{absl::StrCat(folder, "/"), ""}, {absl::StrCat(folder, ": "), ""}},
                          &reply.failure->message);
    }
    if (auto model = executor_.LoadedBy(run, run.request, reply)) loaded_.push_back(*model);
    return reply;
  }

  RunExecutor& executor_;
  Runs runs_;
  std::vector<std::unique_ptr<const Reply>> replies_;  // null: not looked at yet
  std::map<std::shared_ptr<const InputFiles>, std::string> folders_;
  std::vector<RunExecutor::OwnModel> loaded_;
  const bool want_torch_;
};

std::unique_ptr<Observations> RunExecutor::Observe(Runs runs, bool want_torch) {
  return std::make_unique<RunObservations>(*this, std::move(runs), want_torch);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const ExecutorOptions& options) {
  absl::StatusOr<EngineName> name = ParseEngineName(options.engine);
  if (!name.ok()) return name.status();
  absl::StatusOr<std::unique_ptr<ScratchFolder>> scratch = ScratchFolder::Create();
  if (!scratch.ok()) return scratch.status();
  absl::StatusOr<std::unique_ptr<HostClient>> host =
      HostClient::Start({.engine = options.engine,
                         .deadline_seconds = options.deadline_seconds,
                         .memory_limit_bytes = options.memory_limit_bytes,
                         .scratch_folder = (*scratch)->path()});
  if (!host.ok()) return host.status();
  return std::make_unique<RunExecutor>(options, *name, *std::move(scratch), *std::move(host));
}

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(const ExecutorOptions& options,
                                                           std::unique_ptr<HostClient> engine) {
  absl::StatusOr<EngineName> name = ParseEngineName(options.engine);
  if (!name.ok()) return name.status();
  absl::StatusOr<std::unique_ptr<ScratchFolder>> scratch = ScratchFolder::Create();
  if (!scratch.ok()) return scratch.status();
  return std::make_unique<RunExecutor>(options, *name, *std::move(scratch), std::move(engine));
}

}  // namespace crosscheck
