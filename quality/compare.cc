#include "quality/compare.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "quality/apply_gates.h"
#include "quality/candidate_folder.h"
#include "quality/choice_track.h"
#include "quality/compare_plan.h"
#include "quality/engine_tokenizer.h"
#include "quality/generation_summary.h"
#include "quality/layers.h"
#include "quality/manifest.h"
#include "quality/metrics/layer_distance.h"
#include "quality/reference_questions.h"
#include "quality/sampled_track.h"
#include "quality/sha256.h"
#include "reference/checkpoint.h"
#include "reference/error_bound.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

// What a dump beside the reference's is for.
enum class SideRole { kNoise, kWithoutAdapter, kCandidate };
constexpr std::string_view kRoleNames[] = {"noise", "without-adapter", "candidate"};

constexpr int kRound = 32;  // prompts that are added at once while a sequential gate is open

// Everything that one comparison shares.
class Runner {
 public:
  explicit Runner(const CompareOptions& options) : options_(options) {}

  absl::StatusOr<Comparison> Run() {
    if (absl::Status status = PrepareComparison(options_, comparison_, spec_); !status.ok()) {
      return status;
    }
    if (absl::Status status = RecordReference(); !status.ok()) return status;
    const std::string noise = NoiseEngineOf(options_.reference);
    auto noise_result =
        RunConfiguration({.name = "noise-floor", .engine = noise}, SideRole::kNoise);
    if (!noise_result.ok()) return noise_result.status();
    comparison_.noise = *std::move(noise_result);
    if (!options_.adapter.empty()) {
      auto without = RunConfiguration({.name = "without-adapter", .engine = comparison_.reference},
                                      SideRole::kWithoutAdapter);
      if (!without.ok()) return without.status();
      comparison_.without_adapter = *std::move(without);
    }
    for (const Configuration& configuration : options_.configurations) {
      auto result = RunConfiguration(configuration, SideRole::kCandidate);

      if (!result.ok()) return result.status();
      comparison_.configurations.push_back(*std::move(result));
    }
    return std::move(comparison_);
  }

 private:
  RecordOptions Recording(const std::string& side, LogitMode mode) {
    return {.mode = mode,
            .top_k = options_.top_k,
            .tail_samples = options_.tail_samples,
            .seed = options_.seed,
            .interrupted = options_.interrupted,
            .cost = &comparison_.cost,
            .side = side,
            .progress = [this, side](std::string_view track, int64_t done, int64_t total) {
              if (options_.progress) options_.progress(side, track, done, total);
            }};
  }

  std::string DumpFolder(const std::string& name) const {
    return absl::StrCat(options_.out, "/dumps/", name);
  }

  // Loading is a row of its own in the tables of time and memory.
  absl::StatusOr<std::unique_ptr<Side>> OpenSide(const std::string& name,
                                                 const SideOptions& options) {
    const Timed timed(comparison_.cost.Of(name, "loading"), Work::kEngine);
    auto side = Side::Open(options);
    if (side.ok()) AddMemory(name, **side, "loaded");
    return side;
  }

  void AddMemory(const std::string& name, const Side& side, const std::string& phase) {
    const pid_t process = side.process();
    if (process != 0) {
      comparison_.cost.AddMemory(process, absl::StrCat("engine of ", name), phase);
    }
    comparison_.cost.AddMemory(0, "crosscheck", absl::StrCat(name, " ", phase));
  }

  // The dump of one side, with the prompts that it answers.
  absl::StatusOr<std::unique_ptr<DumpWriter>> OpenDump(const std::string& name, Json manifest) {
    manifest["model"]["eos"] = spec_.eos;
    if (name == "reference") reference_hash_ = Sha256(manifest.dump());
    auto writer = DumpWriter::Open(DumpFolder(name), manifest);
    if (!writer.ok()) return writer;
    absl::Status prompts = WriteFile(DumpFolder(name) + "/" + std::string(kDumpPrompts),
                                     PromptLines(comparison_.inputs.prompts));
    if (!prompts.ok()) return prompts;
    return writer;
  }

  absl::Status RecordReference() {
    SideOptions side_options{.engine = comparison_.reference, .model = options_.model};
    side_options.adapter = options_.adapter;
    auto side = OpenSide("reference", side_options);
    if (!side.ok()) return side.status();
    reference_side_ = *std::move(side);
    const Json manifest = MakeManifest("reference", *reference_side_, comparison_.model,
                                       comparison_.inputs, options_, comparison_.mode, "");
    auto writer = OpenDump("reference", manifest);
    if (!writer.ok()) return writer.status();
    reference_writer_ = *std::move(writer);
    Recorder recorder(*reference_side_, *reference_writer_, nullptr,
                      Recording("reference", comparison_.mode));
    absl::Status status = recorder.Greedy(comparison_.inputs.prompts, 0, comparison_.inputs.given,
                                          LongestRun(options_));
    if (status.ok() && !sequential()) status = RunFurther(recorder, AllPrompts());
    if (status.ok()) status = MakeTracks();
    for (const Track& track : tracks_) {
      if (status.ok()) status = recorder.Logits(track);
    }
    if (status.ok()) {
      status = RecordChoices(*reference_side_, *reference_writer_, "reference", nullptr);
    }
    if (status.ok()) status = PlanSampled();
    if (status.ok()) status = RecordSampled(recorder, nullptr);
    if (status.ok()) {
      status =
          Skippable("layers", recorder.Layers(tracks_[0], options_.layer_prompts, spec_), nullptr);
    }
    AddMemory("reference", *reference_side_, "recorded");
    return status.ok() ? OpenReferenceDump() : status;
  }

  absl::Status OpenReferenceDump() {
    auto reader = DumpReader::Open(DumpFolder("reference"));
    if (!reader.ok()) return reader.status();
    reference_dump_ = *std::move(reader);
    reference_rows_ = comparison_.mode == LogitMode::kScalars ? LiveReference(*reference_side_)
                                                              : StoredReference(*reference_dump_);
    return absl::OkStatus();
  }

  // The tracks with logits; the forced one needs the reference's continuations.
  absl::Status MakeTracks() {
    auto reader = DumpReader::Open(DumpFolder("reference"));
    if (!reader.ok()) return reader.status();
    const auto given = static_cast<size_t>(comparison_.inputs.given);
    auto forced =
        ForcedTrack(**reader, absl::MakeConstSpan(comparison_.inputs.prompts).first(given),
                    options_.forced_positions);
    if (!forced.ok()) return forced.status();
    tracks_.push_back(*std::move(forced));
    const std::vector<int32_t>& text = comparison_.inputs.text;
    if (text.size() >= 2) {
      tracks_.push_back(TextTrack(text, comparison_.inputs.windows, comparison_.inputs.bos));
      tracks_.push_back(StepTrack(text, options_.inputs.step_targets,
                                  static_cast<int>(options_.inputs.windows.length)));
    }
    return absl::OkStatus();
  }

  static absl::Status Skippable(const std::string& track, absl::Status status,
                                std::vector<Skip>* skips) {
    if (!absl::IsUnimplemented(status)) return status;
    if (skips != nullptr) skips->push_back({track, std::string(status.message())});
    return absl::OkStatus();
  }

  // What is wrong with an engine is a finding of its configuration; an error status is of the
  // set-up.
  absl::StatusOr<ConfigurationResult> RunConfiguration(const Configuration& configuration,
                                                       SideRole role) {
    ConfigurationResult result;
    result.configuration = configuration;
    absl::Status status = Measure(configuration, role, result);
    if (absl::IsAborted(status) || absl::IsOutOfRange(status) ||
        absl::IsResourceExhausted(status) || absl::IsUnimplemented(status)) {
      result.findings.push_back({"engine", std::string(status.message())});
      status = absl::OkStatus();
    }
    if (!status.ok()) return status;
    return result;
  }

  absl::Status Measure(const Configuration& configuration, SideRole role,
                       ConfigurationResult& result) {
    auto folder = CandidateFolder::Make(configuration, options_.model, options_.out);
    if (!folder.ok()) return folder.status();
    result.bits_per_weight = (*folder)->bits_per_weight();
    result.weight_bytes = (*folder)->bytes();
    for (const std::string& finding : (*folder)->findings()) {
      result.findings.push_back({"configuration", finding});
    }
    if (!configuration.model.empty()) {
      result.configuration.note = absl::StrCat("weights only: ", (*folder)->description());
    }
    absl::Status status = Record(configuration, (*folder)->path(), role, result);
    if (!status.ok()) return status;
    auto dump = DumpReader::Open(DumpFolder(configuration.name));
    if (!dump.ok()) return dump.status();
    status = CheckComparable(reference_dump_->manifest(), (*dump)->manifest());
    if (!status.ok()) return status;
    const std::unique_ptr<PairedItems> pairs = RecordedPairs(*reference_dump_, **dump);
    if (role == SideRole::kNoise) {
      auto errors = ErrorsOf(*pairs, (*dump)->Items("forced"));
      if (!errors.ok()) return errors.status();
      for (const double e : errors->largest) allowed_.push_back(kReferenceMultiplier * e);
      for (const double e : errors->rms) spread_.push_back(kReferenceMultiplier * e);
    }
    const Timed timed(comparison_.cost.Of(configuration.name, "summary"), Work::kReference);
    SummaryInputs questions = Questions();
    questions.pairs = pairs.get();
    status = Summarise(*reference_dump_, **dump, questions, result);
    if (!status.ok() || role != SideRole::kCandidate) return status;
    AddAdapterEffect(result);
    return MeasureLayers({.reference = reference_dump_.get(),
                          .candidate = dump->get(),
                          .forced = &tracks_[0],
                          .candidate_folder = (*folder)->path(),
                          .adapted = !options_.adapter.empty()},
                         result);
  }

  // What a summary may ask of the reference.
  SummaryInputs Questions() {
    const auto ask = std::make_shared<ReferenceQuestions>(*reference_side_, *reference_dump_,
                                                          comparison_.inputs);
    return {
        .inputs = &comparison_.inputs,
        .allowed = &allowed_,
        .spread = &spread_,
        .greedy_tokens = options_.greedy_tokens,
        .eos = spec_.eos,
        .seed = options_.seed,
        .gap = [ask](int item, int at, int token) { return ask->GapOf(item, at, token); },
        .nll = [ask](int item, const std::vector<int32_t>& ids) { return ask->NllOf(item, ids); }};
  }

  // How much of the adapter's effect an engine misses (quality.md 3.10): 0 none, 1 all of it.
  void AddAdapterEffect(ConfigurationResult& result) const {
    if (!comparison_.without_adapter) return;
    const std::vector<Cluster> theirs = result.KlClusters();
    const std::vector<Cluster> effect = comparison_.without_adapter->KlClusters();
    if (theirs.empty() || theirs.size() != effect.size()) return;
    const EffectRatio ratio = AdapterEffect(
        theirs, effect, 0.95, Stream(options_.seed, "bootstrap").Fork("lora_effect_ratio"));
    Estimate estimate = result.metrics["kl_mean"];
    estimate.value = ratio.ratio;
    estimate.lower = ratio.interval.lower;
    estimate.upper = ratio.interval.upper;
    result.metrics["lora_effect_ratio"] = estimate;
    if (ratio.hardly_applied()) {
      result.findings.push_back({"adapter", "the engine hardly applies the adapter"});
    }
  }

  absl::Status Record(const Configuration& configuration, const std::string& folder, SideRole role,
                      ConfigurationResult& result) {
    auto side = OpenSide(configuration.name,
                         {.engine = configuration.engine,
                          .model = folder,
                          .adapter = role == SideRole::kWithoutAdapter ? "" : options_.adapter});
    if (!side.ok()) return side.status();
    if ((*side)->vocab() != reference_side_->vocab()) {
      return absl::FailedPreconditionError(absl::StrCat(configuration.name, ": a vocabulary of ",
                                                        (*side)->vocab(), ", the reference has ",
                                                        reference_side_->vocab()));
    }
    result.engine_text =
        absl::StrCat(configuration.engine, " ", (*side)->hello().value("version", Json()).dump());
    result.echo = (*side)->echo();
    auto identity = ModelIdentity(folder);
    if (!identity.ok()) return identity.status();
    Json manifest =
        MakeManifest(kRoleNames[static_cast<size_t>(role)], **side, *identity, comparison_.inputs,
                     options_, LogitMode::kScalars, reference_hash_);
    manifest["configuration"]["served"] = configuration.served_format;
    manifest["model"]["of"] = comparison_.model;
    auto writer = OpenDump(configuration.name, std::move(manifest));
    if (!writer.ok()) return writer.status();
    if (role == SideRole::kCandidate) {
      absl::Status split =
          CompareTokenizers(**side, comparison_.inputs, options_.inputs.text_file, result);
      if (!split.ok()) return split;
    }
    // The largest errors need whole rows, which mode topk does not keep.
    const std::unique_ptr<ReferenceRows> live = LiveReference(*reference_side_);
    const bool whole_rows = role == SideRole::kNoise && comparison_.mode == LogitMode::kTopK;
    Recorder recorder(**side, **writer, whole_rows ? live.get() : reference_rows_.get(),
                      Recording(configuration.name, LogitMode::kScalars));
    absl::Status status;
    for (const Track& track : tracks_) {
      if (role != SideRole::kCandidate && track.name != "forced") continue;
      if (status.ok()) status = Skippable(track.name, recorder.Logits(track), &result.skips);
    }
    if (status.ok() && role == SideRole::kCandidate) {
      status = RecordChoices(**side, **writer, configuration.name, &result.skips);
    }
    if (status.ok() && role == SideRole::kCandidate)
      status = RecordTokens(configuration, **side, **writer, result);
    result.seconds += (*side)->seconds();
    AddMemory(configuration.name, **side, "recorded");
    return status;
  }

  // Tokens come from the engine's own format where it serves one.
  absl::Status RecordTokens(const Configuration& configuration, Side& side, DumpWriter& writer,
                            ConfigurationResult& result) {
    const RecordOptions recording = Recording(configuration.name, LogitMode::kScalars);
    Recorder layers(side, writer, nullptr, recording);
    absl::Status status = Skippable(
        "layers", layers.Layers(tracks_[0], options_.layer_prompts, spec_), &result.skips);
    if (!status.ok()) return status;
    std::unique_ptr<Side> served;
    if (!configuration.served_format.empty()) {
      auto opened = OpenSide(configuration.name, {.engine = configuration.engine,
                                                  .model = options_.model,
                                                  .format = configuration.served_format,
                                                  .adapter = options_.adapter});
      if (!opened.ok()) return Skippable("greedy", opened.status(), &result.skips);
      served = *std::move(opened);
    }
    Recorder generator(served ? *served : side, writer, nullptr, recording);
    status = Skippable("greedy", RecordGreedy(generator, configuration.name), &result.skips);
    if (status.ok()) status = RecordSampled(generator, &result.skips);
    if (served) result.seconds += served->seconds();
    return status;
  }

  bool sequential() const { return !comparison_.inputs.order.empty(); }
  int AllPrompts() const { return static_cast<int>(comparison_.inputs.prompts.size()); }

  // Prompts beyond the given ones, [given, last), in the rounds in which they are added.
  absl::Status RunFurther(Recorder& recorder, int last) const {
    absl::Status status;
    for (int at = comparison_.inputs.given; status.ok() && at < last; at += kRound) {
      status = recorder.Greedy(comparison_.inputs.prompts, at, std::min(at + kRound, last),
                               options_.greedy_tokens);
    }
    return status;
  }

  // All prompts; where gates are sequential, as many as decide them (quality.md 6).
  absl::Status RecordGreedy(Recorder& recorder, const std::string& name) {
    const Inputs& inputs = comparison_.inputs;
    absl::Status status = recorder.Greedy(inputs.prompts, 0, inputs.given, options_.greedy_tokens);
    if (!status.ok()) return status;
    if (!sequential()) return RunFurther(recorder, AllPrompts());
    std::vector<PromptMatch> matches;
    for (int recorded = inputs.given;; recorded = std::min(recorded + kRound, AllPrompts())) {
      Recorder reference(*reference_side_, *reference_writer_, nullptr,
                         Recording("reference", comparison_.mode));
      status = RunFurther(reference, recorded);
      if (status.ok()) status = RunFurther(recorder, recorded);
      if (status.ok()) status = OpenReferenceDump();
      if (!status.ok()) return status;
      auto dump = DumpReader::Open(DumpFolder(name));
      if (!dump.ok()) return dump.status();
      status = MatchPrompts(*reference_dump_, **dump, Questions(), matches, nullptr);
      if (!status.ok() || recorded == AllPrompts() ||
          !NeedsMorePrompts(options_.gates, name, inputs, matches)) {
        return status;
      }
    }
  }

  // Only the log-likelihoods count, so neither side keeps logits.
  absl::Status RecordChoices(Side& side, DumpWriter& writer, const std::string& name,
                             std::vector<Skip>* skips) {
    Recorder recorder(side, writer, nullptr, Recording(name, LogitMode::kScalars));
    for (const TaskRequests& task : comparison_.inputs.tasks) {
      const Track track = ChoiceTrack(task);
      absl::Status status = Skippable(track.name, recorder.Logits(track), skips);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status PlanSampled() {
    auto reader = DumpReader::Open(DumpFolder("reference"));
    if (!reader.ok()) return reader.status();
    auto plan =
        PlanSampling(**reader, tracks_[0], options_.sampled_prompts, options_.draw_positions);
    if (!plan.ok()) return plan.status();
    sampled_ = *std::move(plan);
    return absl::OkStatus();
  }

  absl::Status RecordSampled(Recorder& recorder, std::vector<Skip>* skips) const {
    std::vector<Prompt> prompts;
    prompts.reserve(sampled_.prompts.size());
    for (const int i : sampled_.prompts) {
      prompts.push_back(comparison_.inputs.prompts[static_cast<size_t>(i)]);
    }
    absl::Status status = Skippable("sampled",
                                    recorder.Sampled(prompts, options_.sampled_seeds,
                                                     options_.sampled_tokens, kSamplingTemperature),
                                    skips);
    if (!status.ok()) return status;
    return Skippable(
        "draws", recorder.Draws(sampled_.contexts, options_.draws, kSamplingTemperature), skips);
  }

  const CompareOptions& options_;
  Comparison comparison_;
  std::vector<Track> tracks_;  // forced, then text and steps when there is a text
  SampledPlan sampled_;
  std::unique_ptr<Side> reference_side_;
  std::unique_ptr<DumpWriter> reference_writer_;
  std::unique_ptr<DumpReader> reference_dump_;
  std::unique_ptr<ReferenceRows> reference_rows_;
  std::string reference_hash_;
  std::vector<double> allowed_, spread_;  // by prompt
  ModelSpec spec_;
};

}  // namespace

absl::StatusOr<Comparison> Compare(const CompareOptions& options) { return Runner(options).Run(); }

}  // namespace crosscheck::quality
