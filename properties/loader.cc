// Hostile and unusual checkpoints: an engine refuses them by a typed error, or gives the logits
// that the references give for the same files.
//
// What a file means for the references is decided by our own reader (reference/checkpoint.h), which
// follows Transformers and the crate `safetensors`. The matrix:
//
// | engine   | our reader               | verdict
// |----------|--------------------------|-----------------------------------------------------------
// | refuses  | accepts, every change is | ENGINE_BUG/rejection, unless the refusal is documented
// |          | harmless (kHarmless)     | (kDocumentedRefusals)
// | refuses  | anything else            | pass: strictness is the engine's choice
// | accepts  | accepts                  | the logits by the bound of logit_closeness
// | accepts  | refuses: no reader can   | ENGINE_BUG/weights: broken JSON or container, a tensor
// that |          | take these files         | is missing or of another shape, a shard outside the
// folder | accepts  | refuses: its own choice  | not judged (counted UNSUPPORTED), but the loaded
// model runs, |          |                          | and must neither crash nor hang | crash,
// hang, panic, memory | any    | the finding that it is
//
// Memory: loading may take four times the files and kSlackBytes of address space (crosscheck-host
// enforces it); more is CRASH/memory. Logits beyond what fp32 holds in a reference are not judged:
// a relabelled dtype or an epsilon of 1e300 makes such models.
#include "properties/subjects/loader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "properties/judges/answers.h"
#include "properties/judges/failure.h"
#include "properties/judges/nonfinite.h"
#include "properties/judges/tolerance.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

constexpr char kLoadStage[] = "load";
constexpr char kRunStage[] = "run";
constexpr uint64_t kSlackBytes = 64ull << 20;

enum Observation : size_t { kEngineLoad, kExactLoad, kEngineRun, kExactRun, kFirstReference };
constexpr size_t kFirstReferenceLoad = kFirstReference + kReferenceRuns;
// The engine on the files without the changes of kObeyed.
constexpr size_t kPlainLoad = kFirstReferenceLoad + kReferenceRuns;
constexpr size_t kPlainRun = kPlainLoad + 1;

struct Change {
  MutationKind kind;
  std::string_view way;
};

// Changes that leave the model what it is by the formats' own documents, so that nobody has a
// reason to refuse them: unknown keys of config.json, tensors that the model does not use, free
// text in the container, the order of tensors, sharding, permissions that only the owner has.
constexpr Change kHarmless[] = {{MutationKind::kConfigForm, "unknown_key"},
                                {MutationKind::kConfigForm, "unknown_key_on_top"},
                                {MutationKind::kConfigText, "space_after"},
                                {MutationKind::kConfigText, "space_before"},
                                {MutationKind::kTensorValue, "minus_zero"},
                                {MutationKind::kTensorValue, "subnormal"},
                                {MutationKind::kExtraTensor, "unknown"},
                                {MutationKind::kExtraTensor, "mtp"},
                                {MutationKind::kExtraTensor, "visual"},
                                {MutationKind::kExtraTensor, "I64"},
                                {MutationKind::kOrder, "header_reversed"},
                                {MutationKind::kOrder, "data_reversed"},
                                {MutationKind::kMetadata, "strings"},
                                {MutationKind::kMetadata, "empty"},
                                {MutationKind::kMetadata, "null"},
                                {MutationKind::kHeaderEntry, "deep_key_40"},
                                {MutationKind::kShards, "2"},
                                {MutationKind::kShards, "3"},
                                {MutationKind::kShards, "5"},
                                {MutationKind::kFile, "mode_400"},
                                {MutationKind::kFile, "mode_600"},
                                {MutationKind::kFile, "mode_666"},
                                {MutationKind::kFile, "mode_755"}};

// Harmless changes that an engine says it refuses.
struct DocumentedRefusal {
  std::string_view engine_family;
  Change change;
  std::string_view link;  // to the engine's own words
};
constexpr DocumentedRefusal kDocumentedRefusals[] = {
    {"lattice",
     {MutationKind::kMetadata, "null"},
     "lattice-weights 0.15.0 src/f32_weights.rs:2413: __metadata__ is an object of strings"},
    {"lattice",
     {MutationKind::kHeaderEntry, "deep_key_40"},
     "lattice-weights 0.15.0 src/f32_weights.rs:1395: a header nests at most 32 deep"},
    {"lattice",
     {MutationKind::kFile, "mode_666"},
     "lattice-weights 0.15.0 src/mmap_trust.rs:157: no file that group or others may write"}};

bool Is(const Mutation& mutation, const Change& change) {
  return mutation.Is(change.kind, change.way);
}

// Keys that our references do not implement and that change what Transformers computes.
constexpr Change kRopeScaling = {MutationKind::kConfigForm, "rope_scaling"};
constexpr Change kObeyed[] = {{MutationKind::kConfigForm, "other_activation"}, kRopeScaling};

bool IsObeyed(const Mutation& mutation) {
  return std::any_of(std::begin(kObeyed), std::end(kObeyed),
                     [&](const Change& change) { return Is(mutation, change); });
}

// True when a key of kObeyed must show in the logits: the rest is plain, weights are of usual size,
// and positions matter where the key is about positions.
bool MustShow(const LoaderCase& c) {
  const auto& layers = c.model.spec.layers;
  const bool positions = c.ids.size() > 1 && std::find(layers.begin(), layers.end(),
                                                       LayerKind::kFullAttention) != layers.end();
  return c.model.weights.style == WeightStyle::kPlain && !c.mutations.empty() &&
         std::all_of(c.mutations.begin(), c.mutations.end(), [&](const Mutation& mutation) {
           return IsObeyed(mutation) && (positions || !Is(mutation, kRopeScaling));
         });
}

// True when the engine has no reason, its documented ones included, to refuse the files.
bool MustAccept(const LoaderCase& c, std::string_view engine_family) {
  return std::all_of(c.mutations.begin(), c.mutations.end(), [&](const Mutation& mutation) {
    const bool harmless = std::any_of(std::begin(kHarmless), std::end(kHarmless),
                                      [&](const Change& change) { return Is(mutation, change); });
    const bool documented = std::any_of(
        std::begin(kDocumentedRefusals), std::end(kDocumentedRefusals), [&](const auto& refusal) {
          return refusal.engine_family == engine_family && Is(mutation, refusal.change);
        });
    return harmless && !documented;
  });
}

int64_t HeadInteger(const Reply& load, const char* name) {
  const auto found = load.ok() ? load.message.head.find(name) : load.message.head.end();
  return found != load.message.head.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

// The case as a model run: what config.json says, as far as requests, answers and bounds need it.
// `load`: the answer of whoever decides what the files mean.
ModelRunCase RunOf(const LoaderCase& c, const Reply& load, ModelPath path) {
  auto recipe = std::make_shared<ModelRecipe>(c.model);
  recipe->spec.vocab = static_cast<int>(std::max<int64_t>(HeadInteger(load, "vocab"), 1));
  if (const int64_t layers = HeadInteger(load, "layers"); layers > 0) {
    recipe->spec.layers.resize(static_cast<size_t>(layers));
  }
  const int64_t context = std::max<int64_t>(HeadInteger(load, "context"), 1);
  SequenceCase sequence;
  for (const int32_t id : c.ids) {
    if (static_cast<int64_t>(sequence.ids.size()) == context) break;
    sequence.ids.push_back(id % recipe->spec.vocab);
  }
  sequence.chunks = {static_cast<int32_t>(sequence.ids.size())};
  return {.model = std::move(recipe), .path = path, .sequences = {sequence}};
}

// All positions where the engine answers them, else the last one.
ModelPath PathOf(const Reply& engine_load) {
  if (!engine_load.ok()) return ModelPath::kReadout;
  const auto paths = engine_load.message.head.find("paths");
  const bool lacks = paths != engine_load.message.head.end() && paths->is_array() &&
                     std::find(paths->begin(), paths->end(), "readout") == paths->end();
  return lacks ? ModelPath::kPrompt : ModelPath::kReadout;
}

// Logits of the model that observation `load` holds.
DerivedRequest LogitsAfter(size_t load, const Case& erased) {
  return [load, erased](Observations& seen) {
    const auto& c = erased.As<LoaderCase>();
    const Reply& meaning = seen[kExactLoad].ok() ? seen[kExactLoad] : seen[kEngineLoad];
    const ModelPath path = load == kExactLoad ? ModelPath::kReadout : PathOf(seen[kEngineLoad]);
    Message request = LogitsRequest(RunOf(c, meaning, path), path);
    request.head["model"] = seen[load].ok() ? seen[load].message.head.value("model", "") : "";
    return request;
  };
}

Message LoadRequest() {
  Message request;
  request.head = {{"op", "load"}};
  return request;
}

Runs Plan(const Case& erased) {
  const auto& c = erased.As<LoaderCase>();
  const std::shared_ptr<const InputFiles> files = FilesOf(c);
  uint64_t bytes = 0;
  for (const InputFile& file : *files) bytes += file.bytes.size();
  Message limited = LoadRequest();
  limited.head["memory_allowance"] = 4 * bytes + kSlackBytes;
  Runs plan = {{.role = Role::kEngine, .request = std::move(limited), .files = files},
               {.role = Role::kExact, .request = LoadRequest(), .files = files},
               {.role = Role::kEngine, .derive = LogitsAfter(kEngineLoad, erased)},
               {.role = Role::kExact, .derive = LogitsAfter(kExactLoad, erased)}};
  plan.AppendSeries(kReferenceRuns, [erased](size_t i) {
    const Run run = ReferenceAt(i);
    return Run{.role = run.role,
               .variant = run.variant,
               .derive = LogitsAfter(kFirstReferenceLoad + i, erased)};
  });
  plan.AppendSeries(kReferenceRuns, [files](size_t i) {
    const Run run = ReferenceAt(i);
    Run load{.role = run.role, .variant = run.variant, .request = LoadRequest(), .files = files};
    load.request.head["nudge"] = run.nudge;
    return load;
  });
  LoaderCase plain = c;
  std::erase_if(plain.mutations, IsObeyed);
  plan.push_back({.role = Role::kEngine, .request = LoadRequest(), .files = FilesOf(plain)});
  plan.push_back({.role = Role::kEngine, .derive = LogitsAfter(kPlainLoad, erased)});
  return plan;
}

Verdict Judged(VerdictKind kind, ErrorClass error, std::string message) {
  Verdict verdict = MakeVerdict(kind, kLoadStage, error, std::move(message));
  verdict.judged = 1;
  return verdict;
}

Verdict JudgeRefusal(const LoaderCase& c, const Failure& failure, Observations& seen) {
  if (MustAccept(c, seen.engine_family()) && seen[kExactLoad].ok()) {
    return Judged(VerdictKind::kEngineBug, ErrorClass::kRejection,
                  absl::StrCat("refuses files that only differ from a plain checkpoint in what the "
                               "formats leave free: ",
                               failure.message, " (", failure.type, ")"));
  }
  return Judged(VerdictKind::kPass, ErrorClass::kNone, "");
}

bool SameLogits(const Reply& a, const Reply& b) {
  const Tensor* left = a.ok() ? a.message.Find("logits.0") : nullptr;
  const Tensor* right = b.ok() ? b.message.Find("logits.0") : nullptr;
  return left != nullptr && right != nullptr && left->bytes == right->bytes;
}

// The engine took what our reader does not.
Verdict JudgeUndefined(const LoaderCase& c, const Failure& refusal, Observations& seen) {
  if (refusal.kind != FailureKind::kRefused) return ReferenceFailure(refusal, "exact", kLoadStage);
  const Reply& run = seen[kEngineRun];
  if (!run.ok() && run.failure->kind != FailureKind::kRefused) {
    return EngineFailure(*run.failure, kRunStage);
  }
  if (refusal.type == "DATA_LOSS" || refusal.type == "NOT_FOUND") {
    return Judged(VerdictKind::kEngineBug, ErrorClass::kWeights,
                  absl::StrCat("accepts files that no reader can take: ", refusal.message));
  }
  if (MustShow(c) && SameLogits(run, seen[kPlainRun])) {
    return Judged(
        VerdictKind::kEngineBug, ErrorClass::kNumeric,
        absl::StrCat("accepts without effect a key that Transformers obeys: ", refusal.message));
  }
  return MakeVerdict(VerdictKind::kUnsupported, kLoadStage, ErrorClass::kNone,
                     "our reader does not say what the files mean");
}

Verdict BeyondFp32() {
  return MakeVerdict(VerdictKind::kUnsupported, kRunStage, ErrorClass::kNone,
                     "logits beyond fp32 in a reference");
}

// True when correct arithmetic in fp32 leaves the finite numbers, in any order of summation.
bool ReferencesOverflow(const ModelRunCase& run, Observations& seen) {
  constexpr size_t kPlainReferences = 4;  // those on weights that are not nudged
  for (size_t i = kFirstReference; i < kFirstReference + kPlainReferences; ++i) {
    if (!seen.Available(i) || !seen[i].ok()) continue;
    const auto answer = ReadLogits(seen[i].message, run, run.path);
    if (answer.ok() && FirstNonfinite(*answer).logit >= 0) return true;
  }
  return false;
}

Verdict JudgeLogits(const ModelRunCase& run, const LogitsAnswer& engine, Observations& seen) {
  LogitsAnswer exact;
  if (auto wrong = ReadExactLogits(seen[kExactRun], run, kRunStage, exact)) return *wrong;
  if (auto verdict = JudgeNonfinite(exact, engine, kRunStage)) {
    const bool drift = verdict->kind == VerdictKind::kReferenceDrift;
    return drift || ReferencesOverflow(run, seen) ? BeyondFp32() : *verdict;
  }
  Verdict verdict = JudgeTolerance({run, run.path, exact, engine}, kFirstReference, seen);
  const bool overflow = verdict.kind == VerdictKind::kReferenceDrift &&
                        verdict.signature.error == ErrorClass::kNonfinite;
  if (overflow) return BeyondFp32();
  verdict.signature.stage = kRunStage;
  return verdict;
}

Verdict Judge(const Case& erased, Observations& seen) {
  const auto& c = erased.As<LoaderCase>();
  const Reply& load = seen[kEngineLoad];
  if (!load.ok()) {
    if (load.failure->kind == FailureKind::kRefused) return JudgeRefusal(c, *load.failure, seen);
    return EngineFailure(*load.failure, kLoadStage);
  }
  const Reply& meaning = seen[kExactLoad];
  if (!meaning.ok()) return JudgeUndefined(c, *meaning.failure, seen);
  if (HeadInteger(load, "vocab") != HeadInteger(meaning, "vocab")) {
    return Judged(VerdictKind::kEngineBug, ErrorClass::kWeights,
                  absl::StrCat("loads a vocabulary of ", HeadInteger(load, "vocab"),
                               "; config.json says ", HeadInteger(meaning, "vocab")));
  }
  const ModelRunCase run = RunOf(c, meaning, PathOf(load));
  const Reply& reply = seen[kEngineRun];
  // An engine may say so instead of answering infinities.
  const bool refused = !reply.ok() && reply.failure->kind == FailureKind::kRefused;
  if (refused && ReferencesOverflow(run, seen)) return BeyondFp32();
  LogitsAnswer engine;
  if (auto wrong = ReadEngineLogits(reply, run, kRunStage, engine)) return *wrong;
  return JudgeLogits(run, engine, seen);
}

}  // namespace

const Property& PropertyNamed_loader() {
  static const Property property = {
      .name = "loader",
      .subject = &LoaderSubject(),
      .needs = {"model/1"},
      .kills = {"faulty:missing_as_zeros", "faulty:bf16_as_f16", "faulty:dies_on_truncation",
                "faulty:allocates_by_header", "faulty:refuses_extra_tensors"},
      .benign = {"exact:fp32", "exact:fp32-chunked-reversed", "torch"},
      .plan = Plan,
      .judge = Judge};
  return property;
}

}  // namespace crosscheck
