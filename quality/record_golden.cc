#include "quality/record_golden.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/compare_plan.h"
#include "quality/manifest.h"
#include "quality/recorder.h"
#include "reference/checkpoint.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kItemBytes = 2000, kFixedBytes = 20000;  // names and JSON, generously
constexpr char kExactEngine[] = "torch:fp64", kErrorEngine[] = "torch:fp32";

class GoldenRecorder {
 public:
  explicit GoldenRecorder(const RecordGoldenOptions& options) : options_(options) {}

  absl::StatusOr<RecordedGolden> Run() {
    absl::Status status = Prepare();
    if (status.ok()) status = RecordDump();
    if (status.ok()) status = MeasureReferenceErrors();
    if (status.ok()) status = WriteGoldenIndex(golden_.index, options_.folder);
    if (!status.ok()) return status;
    for (const auto& entry : fs::recursive_directory_iterator(options_.folder)) {
      if (entry.is_regular_file()) golden_.bytes += entry.file_size();
    }
    return std::move(golden_);
  }

 private:
  // Reads model and inputs; nothing is written before they are right.
  absl::Status Prepare() {
    if (fs::exists(options_.folder + "/golden.json") && !IsRecordedGolden(options_.folder)) {
      return absl::FailedPreconditionError(absl::StrCat(
          options_.folder, " holds a golden.json of another kind; choose another folder"));
    }
    auto identity = ModelIdentity(options_.model);
    if (!identity.ok()) return identity.status();
    model_ = *std::move(identity);
    auto spec = ReadConfig(options_.model);
    if (!spec.ok()) return spec.status();
    auto inputs = ReadInputs(options_.inputs, options_.model, spec->vocab, spec->max_positions,
                             options_.greedy_tokens);
    if (!inputs.ok()) return inputs.status();
    inputs_ = *std::move(inputs);
    for (const Prompt& prompt : inputs_.prompts) {
      if (prompt.stop.empty() && prompt.max_tokens == options_.greedy_tokens) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("prompt \"", prompt.id,
                       "\" has \"stop\" or a smaller \"max_tokens\"; a golden has the same number "
                       "of tokens of every prompt (--greedy-tokens)"));
    }
    golden_.index.engine = ReferenceEngineOf(options_.reference);
    golden_.index.model =
        fs::proximate(fs::absolute(options_.model), fs::absolute(options_.folder));
    for (const Prompt& prompt : inputs_.prompts) {
      golden_.index.prompts.push_back({.id = prompt.id, .text = prompt.text});
    }
    return CheckSize(spec->vocab);
  }

  // An upper bound, so that a golden that is too large costs no time.
  absl::Status CheckSize(int vocab) const {
    int64_t bytes = kFixedBytes;
    const int64_t position = BytesPerPosition(LogitMode::kTopK, Recording(LogitMode::kTopK), vocab);
    for (const Prompt& prompt : inputs_.prompts) {
      bytes += kItemBytes + static_cast<int64_t>(prompt.text.size() + 8 * prompt.ids.size()) +
               options_.greedy_tokens * (position + 8);
    }
    if (bytes <= kMostGoldenBytes) return absl::OkStatus();
    return absl::OutOfRangeError(
        absl::StrCat(inputs_.prompts.size(), " prompts of ", options_.greedy_tokens,
                     " tokens may take ", bytes, " bytes; a golden has at most ", kMostGoldenBytes,
                     ": give fewer prompts (--limit) or tokens (--greedy-tokens)"));
  }

  absl::StatusOr<std::unique_ptr<Side>> Open(const std::string& engine) const {
    auto side = Side::Open({.engine = engine, .model = options_.model});
    if (!side.ok() || vocab_ == 0 || (*side)->vocab() == vocab_) return side;
    return absl::FailedPreconditionError(absl::StrCat(engine, ": a vocabulary of ",
                                                      (*side)->vocab(), ", ", golden_.index.engine,
                                                      " has ", vocab_));
  }

  RecordOptions Recording(LogitMode mode) const {
    return {.mode = mode,
            .top_k = kGoldenTokens,
            .tail_samples = kGoldenTokens,
            .seed = options_.inputs.seed,
            .interrupted = options_.interrupted,
            .progress = [this](std::string_view track, int64_t done, int64_t total) {
              if (options_.progress) options_.progress(golden_.index.engine, track, done, total);
            }};
  }

  absl::Status RecordDump() {
    auto side = Open(golden_.index.engine);
    if (!side.ok()) return side.status();
    vocab_ = (*side)->vocab();
    Json manifest = DescribeSide("golden", **side, model_);
    manifest["tokenizer"] = inputs_.tokenizer;
    manifest["tracks"] = {{"greedy", {{"tokens", options_.greedy_tokens}}},
                          {"forced", {{"positions", options_.greedy_tokens}}}};
    manifest["mode"] = kLogitModeNames[static_cast<size_t>(LogitMode::kTopK)];
    manifest["top_k"] = manifest["tail_samples"] = kGoldenTokens;
    manifest["seed"] = options_.inputs.seed;
    manifest["prompts_sha256"] = inputs_.prompts_sha256;
    auto writer = DumpWriter::Open(options_.folder, manifest);
    if (!writer.ok()) return writer.status();
    Recorder recorder(**side, **writer, nullptr, Recording(LogitMode::kTopK));
    absl::Status status = recorder.Greedy(
        inputs_.prompts, 0, static_cast<int>(inputs_.prompts.size()), options_.greedy_tokens);
    if (!status.ok()) return status;
    auto dump = DumpReader::Open(options_.folder);
    if (!dump.ok()) return dump.status();
    auto forced = ForcedTrack(**dump, inputs_.prompts, options_.greedy_tokens);
    if (!forced.ok()) return forced.status();
    return recorder.Logits(*forced);
  }

  // Of every prompt: how far another precision is from the exact answers.
  absl::Status MeasureReferenceErrors() {
    GoldenIndex& index = golden_.index;
    const bool exact = index.engine == "exact" || index.engine == kExactEngine;
    index.exact_engine = exact ? index.engine : kExactEngine;
    index.error_engine = kErrorEngine;
    auto dump = DumpReader::Open(options_.folder);
    if (!dump.ok()) return dump.status();
    auto error_side = Open(index.error_engine);
    if (!error_side.ok()) return error_side.status();
    auto exact_side = Open(index.exact_engine);
    if (!exact_side.ok()) return exact_side.status();
    const auto prompts = static_cast<int>(index.prompts.size());
    for (int i = 0; i < prompts; ++i) {
      if (options_.interrupted != nullptr && *options_.interrupted) {
        return absl::CancelledError("interrupted; the same command goes on");
      }
      auto item = ReadGoldenItem(**dump, i, vocab_);
      if (!item.ok()) return item.status();
      absl::Status status =
          MeasurePrompt(*item, **exact_side, **error_side, index.prompts[static_cast<size_t>(i)]);
      if (!status.ok()) return status;
      if (options_.progress) options_.progress("reference error", "forced", i + 1, prompts);
    }
    return absl::OkStatus();
  }

  absl::Status MeasurePrompt(const GoldenItem& recorded, Side& exact_side, Side& error_side,
                             GoldenPrompt& prompt) {
    auto exact = AnsweredBy(recorded, exact_side);
    if (!exact.ok()) return exact.status();
    auto rounded = AnsweredBy(recorded, error_side);
    if (!rounded.ok()) return rounded.status();
    prompt.reference_error = LargestDistance(*exact, *rounded);
    const GoldenDistance own = LargestDistance(*exact, recorded);
    const GoldenDistance allowed = golden_.index.Allowed(prompt, LargestLogit(recorded));
    for (size_t m = 0; m < kGoldenMeasures; ++m) {
      if (!std::isfinite(prompt.reference_error[m]) || !std::isfinite(own[m])) {
        return absl::OutOfRangeError(
            absl::StrCat("prompt \"", prompt.id, "\": ", golden_.index.engine, " or ",
                         golden_.index.error_engine, " answers values that are no logits"));
      }
      golden_.of_allowed = std::max(golden_.of_allowed, own[m] / allowed[m]);
    }
    golden_.largest_reference_error =
        std::max(golden_.largest_reference_error, prompt.reference_error[0]);
    golden_.positions += static_cast<int64_t>(recorded.positions.size());
    return absl::OkStatus();
  }

  const RecordGoldenOptions& options_;
  RecordedGolden golden_;
  Inputs inputs_;
  Json model_;
  int vocab_ = 0;
};

}  // namespace

absl::StatusOr<RecordedGolden> RecordGolden(const RecordGoldenOptions& options) {
  return GoldenRecorder(options).Run();
}

}  // namespace crosscheck::quality
