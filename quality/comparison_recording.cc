#include "quality/comparison_recording.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/apply_gates.h"
#include "quality/choice_track.h"
#include "quality/compare_plan.h"
#include "quality/engine_tokenizer.h"
#include "quality/generation_summary.h"
#include "quality/manifest.h"
#include "quality/reference_questions.h"
#include "quality/sha256.h"
#include "reference/safetensors.h"

namespace crosscheck::quality {
namespace {

constexpr std::string_view kRoleNames[] = {"noise", "without-adapter", "candidate"};

constexpr int kRound = 32;  // prompts that are added at once while a sequential gate is open

absl::Status Skippable(const std::string& track, absl::Status status, std::vector<Skip>* skips) {
  if (!absl::IsUnimplemented(status)) return status;
  if (skips != nullptr) skips->push_back({track, std::string(status.message())});
  return absl::OkStatus();
}

}  // namespace

RecordOptions ComparisonRecording::Recording(const std::string& side, LogitMode mode) {
  return {.mode = mode,
          .top_k = options_.top_k,
          .tail_samples = options_.tail_samples,
          .seed = options_.seed,
          .interrupted = options_.interrupted,
          .decoder = comparison_.inputs.decoder.get(),
          .cost = &comparison_.cost,
          .side = side,
          .progress = [this, side](std::string_view track, int64_t done, int64_t total) {
            if (options_.progress) options_.progress(side, track, done, total);
          }};
}

std::string ComparisonRecording::DumpFolder(const std::string& name) const {
  return absl::StrCat(options_.out, "/dumps/", name);
}

// Loading is a row of its own in the tables of time and memory.
absl::StatusOr<std::unique_ptr<Side>> ComparisonRecording::OpenSide(const std::string& name,
                                                                    const SideOptions& options) {
  const Timed timed(comparison_.cost.Of(name, "loading"), Work::kEngine);
  auto side = Side::Open(options);
  if (side.ok()) AddMemory(name, **side, "loaded");
  return side;
}

void ComparisonRecording::AddMemory(const std::string& name, const Side& side,
                                    const std::string& phase) {
  const pid_t process = side.process();
  if (process != 0) {
    comparison_.cost.AddMemory(process, absl::StrCat("engine of ", name), phase);
  }
  comparison_.cost.AddMemory(0, "crosscheck", absl::StrCat(name, " ", phase));
}

// The dump of one side, with the prompts that it answers.
absl::StatusOr<std::unique_ptr<DumpWriter>> ComparisonRecording::OpenDump(const std::string& name,
                                                                          Json manifest) {
  manifest["model"]["eos"] = spec_.eos;
  if (name == "reference") reference_hash_ = Sha256(manifest.dump());
  auto writer = DumpWriter::Open(DumpFolder(name), manifest);
  if (!writer.ok()) return writer;
  absl::Status prompts = WriteFile(DumpFolder(name) + "/" + std::string(kDumpPrompts),
                                   PromptLines(comparison_.inputs.prompts));
  if (!prompts.ok()) return prompts;
  return writer;
}

absl::Status ComparisonRecording::RecordReference() {
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

absl::Status ComparisonRecording::OpenReferenceDump() {
  auto reader = DumpReader::Open(DumpFolder("reference"));
  if (!reader.ok()) return reader.status();
  reference_dump_ = *std::move(reader);
  reference_rows_ = comparison_.mode == LogitMode::kScalars ? LiveReference(*reference_side_)
                                                            : StoredReference(*reference_dump_);
  return absl::OkStatus();
}

// The tracks with logits; the forced one needs the reference's continuations.
absl::Status ComparisonRecording::MakeTracks() {
  auto reader = DumpReader::Open(DumpFolder("reference"));
  if (!reader.ok()) return reader.status();
  const auto given = static_cast<size_t>(comparison_.inputs.given);
  auto forced = ForcedTrack(**reader, absl::MakeConstSpan(comparison_.inputs.prompts).first(given),
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

// What a summary may ask of the reference.
SummaryInputs ComparisonRecording::Questions() {
  const auto ask =
      std::make_shared<ReferenceQuestions>(*reference_side_, *reference_dump_, comparison_.inputs);
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

absl::Status ComparisonRecording::Record(const Configuration& configuration,
                                         const std::string& folder, SideRole role,
                                         ConfigurationResult& result) {
  auto side = OpenSide(configuration.name,
                       {.engine = configuration.engine,
                        .model = folder,
                        .adapter = role == SideRole::kWithoutAdapter ? "" : options_.adapter});
  if (!side.ok()) return side.status();
  const Json version = (*side)->hello().value("version", Json());
  result.engine_text = absl::StrCat(
      configuration.engine, " ", version.is_string() ? version.get<std::string>() : version.dump());
  result.echo = (*side)->echo();
  auto writer = OpenCandidateDump(configuration, folder, role, **side);
  if (!writer.ok()) return writer.status();
  absl::Status status;
  if (role == SideRole::kCandidate) {
    status = CompareTokenizers(**side, comparison_.inputs, options_.inputs.text_file, result);
  }
  if (status.ok()) status = RecordLogits(configuration, role, **side, **writer, result);
  if (status.ok() && role == SideRole::kCandidate) {
    status = RecordChoices(**side, **writer, configuration.name, &result.skips);
  }
  if (status.ok() && role == SideRole::kCandidate) {
    status = RecordTokens(configuration, **side, **writer, result);
  }
  result.seconds += (*side)->seconds();
  AddMemory(configuration.name, **side, "recorded");
  return status;
}

absl::StatusOr<std::unique_ptr<DumpWriter>> ComparisonRecording::OpenCandidateDump(
    const Configuration& configuration, const std::string& folder, SideRole role,
    const Side& side) {
  if (side.vocab() != reference_side_->vocab()) {
    return absl::FailedPreconditionError(absl::StrCat(configuration.name, ": a vocabulary of ",
                                                      side.vocab(), ", the reference has ",
                                                      reference_side_->vocab()));
  }
  auto identity = ModelIdentity(folder);
  if (!identity.ok()) return identity.status();
  Json manifest = MakeManifest(kRoleNames[static_cast<size_t>(role)], side, *identity,
                               comparison_.inputs, options_, LogitMode::kScalars, reference_hash_);
  manifest["configuration"]["served"] = configuration.served_format;
  manifest["model"]["of"] = comparison_.model;
  return OpenDump(configuration.name, std::move(manifest));
}

absl::Status ComparisonRecording::RecordLogits(const Configuration& configuration, SideRole role,
                                               Side& side, DumpWriter& writer,
                                               ConfigurationResult& result) {
  // The largest errors need whole rows, which mode topk does not keep.
  const std::unique_ptr<ReferenceRows> live = LiveReference(*reference_side_);
  const bool whole_rows = role == SideRole::kNoise && comparison_.mode == LogitMode::kTopK;
  Recorder recorder(side, writer, whole_rows ? live.get() : reference_rows_.get(),
                    Recording(configuration.name, LogitMode::kScalars));
  for (const Track& track : tracks_) {
    if (role != SideRole::kCandidate && track.name != "forced") continue;
    absl::Status status = Skippable(track.name, recorder.Logits(track), &result.skips);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Tokens come from the engine's own format where it serves one.
absl::Status ComparisonRecording::RecordTokens(const Configuration& configuration, Side& side,
                                               DumpWriter& writer, ConfigurationResult& result) {
  const RecordOptions recording = Recording(configuration.name, LogitMode::kScalars);
  Recorder layers(side, writer, nullptr, recording);
  absl::Status status =
      Skippable("layers", layers.Layers(tracks_[0], options_.layer_prompts, spec_), &result.skips);
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

// Prompts beyond the given ones, [given, last), in the rounds in which they are added.
absl::Status ComparisonRecording::RunFurther(Recorder& recorder, int last) const {
  absl::Status status;
  for (int at = comparison_.inputs.given; status.ok() && at < last; at += kRound) {
    status = recorder.Greedy(comparison_.inputs.prompts, at, std::min(at + kRound, last),
                             options_.greedy_tokens);
  }
  return status;
}

// All prompts; where gates are sequential, as many as decide them (quality.md 6).
absl::Status ComparisonRecording::RecordGreedy(Recorder& recorder, const std::string& name) {
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
absl::Status ComparisonRecording::RecordChoices(Side& side, DumpWriter& writer,
                                                const std::string& name, std::vector<Skip>* skips) {
  Recorder recorder(side, writer, nullptr, Recording(name, LogitMode::kScalars));
  for (const TaskRequests& task : comparison_.inputs.tasks) {
    const Track track = ChoiceTrack(task);
    absl::Status status = Skippable(track.name, recorder.Logits(track), skips);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ComparisonRecording::PlanSampled() {
  auto reader = DumpReader::Open(DumpFolder("reference"));
  if (!reader.ok()) return reader.status();
  auto plan = PlanSampling(**reader, tracks_[0], options_.sampled_prompts, options_.draw_positions);
  if (!plan.ok()) return plan.status();
  sampled_ = *std::move(plan);
  return absl::OkStatus();
}

absl::Status ComparisonRecording::RecordSampled(Recorder& recorder,
                                                std::vector<Skip>* skips) const {
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
  return Skippable("draws", recorder.Draws(sampled_.contexts, options_.draws, kSamplingTemperature),
                   skips);
}

}  // namespace crosscheck::quality
