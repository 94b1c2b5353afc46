#include "quality/compare_dumps.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "quality/choice_track.h"
#include "quality/computed_pairs.h"
#include "quality/dump_check.h"
#include "quality/layers.h"
#include "reference/error_bound.h"

namespace crosscheck::quality {
namespace {

namespace fs = std::filesystem;

absl::Status SetupError(const absl::Status& status) {
  return {status.code(), absl::StrCat("SETUP_ERROR: ", std::string(status.message()))};
}

std::string WordOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

// The members of an object that are text, as reports show them.
Json Texts(const Json& object) {
  Json texts = Json::object();
  if (!object.is_object()) return texts;
  for (const auto& [name, value] : object.items()) {
    if (value.is_string()) texts[name] = value;
  }
  return texts;
}

std::string EngineText(const Json& manifest) {
  const std::string name = WordOf(ValueAt(manifest, "/engine/name"));
  const std::string version = WordOf(ValueAt(manifest, "/engine/version"));
  return absl::StrCat(name.empty() ? "unnamed engine" : name, version.empty() ? "" : " ", version);
}

absl::StatusOr<std::unique_ptr<DumpReader>> OpenChecked(const std::string& folder) {
  auto dump = DumpReader::Open(folder);
  if (!dump.ok()) return dump;
  if (absl::Status status = CheckManifest(**dump); !status.ok()) return status;
  return dump;
}

// The reference's best logit less that of `token` at a position of the forced track; NaN where its
// dump does not hold it.
class StoredGaps {
 public:
  explicit StoredGaps(DumpReader& dump) : dump_(dump) {}

  absl::StatusOr<double> Of(int item, int position, int token) {
    const double unknown = std::nan("");
    if (item >= dump_.Items("forced")) return unknown;
    const auto logits = dump_.Read("forced", item, "logits");
    if (logits.ok()) {
      const int64_t vocab = (*logits)->shape[1];
      if (position >= (*logits)->shape[0] || token >= vocab) return unknown;
      const auto row = (*logits)->As<float>().subspan(static_cast<size_t>(position * vocab),
                                                      static_cast<size_t>(vocab));
      return static_cast<double>(*std::max_element(row.begin(), row.end())) -
             row[static_cast<size_t>(token)];
    }
    const auto ids = dump_.Read("forced", item, "top_ids");
    const auto values = dump_.Read("forced", item, "top_logits");
    if (!ids.ok() || !values.ok() || position >= (*ids)->shape[0]) return unknown;
    const auto k = static_cast<size_t>((*ids)->shape[1]), at = static_cast<size_t>(position) * k;
    const auto row = (*ids)->As<int32_t>().subspan(at, k);
    const auto* const found = std::find(row.begin(), row.end(), token);
    if (found == row.end()) return unknown;
    const auto stored = (*values)->As<float>().subspan(at, k);
    return static_cast<double>(stored[0]) - stored[static_cast<size_t>(found - row.begin())];
  }

 private:
  DumpReader& dump_;
};

class DumpRunner {
 public:
  explicit DumpRunner(const CompareOptions& options) : options_(options) {}

  absl::StatusOr<Comparison> Run() {
    if (absl::Status status = OpenReference(); !status.ok()) return SetupError(status);
    if (absl::Status status = ReadModelFolder(); !status.ok()) return SetupError(status);
    if (!options_.recorded.noise.empty()) {
      if (absl::Status status = ReadNoise(); !status.ok()) return SetupError(status);
    }
    for (const std::string& folder : options_.recorded.candidates) {
      auto result = Measure(folder);
      if (!result.ok()) return SetupError(result.status());
      comparison_.configurations.push_back(*std::move(result));
    }
    return std::move(comparison_);
  }

 private:
  absl::Status OpenReference() {
    auto dump = OpenChecked(options_.recorded.reference);
    if (!dump.ok()) return dump.status();
    reference_ = *std::move(dump);
    auto prompts = ReadDumpPrompts(*reference_);
    if (!prompts.ok()) return prompts.status();
    const Json& manifest = reference_->manifest();
    comparison_.options = options_;
    comparison_.reference = EngineText(manifest);
    comparison_.mode = ModeOf(*reference_);
    comparison_.model = Texts(ValueAt(manifest, "/model/files"));
    Inputs& inputs = comparison_.inputs;
    inputs.prompts = *std::move(prompts);
    inputs.prompts_sha256 = HashOfPrompts(inputs.prompts);
    inputs.text_sha256 = WordOf(ValueAt(manifest, "/text_sha256"));
    inputs.given = reference_->Items("forced");
    inputs.tokenizer = Texts(ValueAt(manifest, "/tokenizer"));
    return ReadParameters(manifest);
  }

  // What the report says about how the numbers were made.
  absl::Status ReadParameters(const Json& manifest) {
    CompareOptions& options = comparison_.options;
    absl::Status status;
    const auto number = [&](const char* key, auto& value) {
      constexpr uint64_t kMost = 1'000'000;
      const Json stated = ValueAt(manifest, key);
      if (stated.is_null()) return;
      if (stated.is_number_unsigned() && stated >= 1u && stated <= kMost) {
        value = stated;
      } else {
        status.Update(absl::FailedPreconditionError(
            absl::StrCat(reference_->folder(), "/manifest.json: ", key, " is ", stated.dump(),
                         "; expected a number from 1 to ", kMost)));
      }
    };
    number("/tracks/greedy/tokens", options.greedy_tokens);
    number("/tracks/forced/positions", options.forced_positions);
    number("/tracks/text/window", options.inputs.windows.length);
    number("/tracks/text/stride", options.inputs.windows.stride);
    const std::string scheme = WordOf(ValueAt(manifest, "/tracks/text/scheme"));
    const auto* const known = std::find(std::begin(kSchemeNames), std::end(kSchemeNames), scheme);
    if (known != std::end(kSchemeNames)) {
      options.inputs.windows.scheme = static_cast<Scheme>(known - std::begin(kSchemeNames));
    }
    comparison_.inputs.scheme = options.inputs.windows.scheme;
    const Json eos = ValueAt(manifest, "/model/eos");
    if (eos.is_number_integer()) eos_ = eos;
    return status;
  }

  // The tokenizer, where a folder is given; it is the one that the dump was made with.
  absl::Status ReadModelFolder() {
    if (options_.model.empty()) return absl::OkStatus();
    auto identity = ModelIdentity(options_.model);
    if (!identity.ok()) return identity.status();
    if (!comparison_.model.empty() && *identity != comparison_.model) {
      return absl::FailedPreconditionError(
          absl::StrCat(reference_->folder(), " and ", options_.model, " differ at ",
                       FirstDifference(comparison_.model, *identity, "/model/files")));
    }
    auto tokenizer = Tokenizer::Load(options_.model);
    if (!tokenizer.ok()) return tokenizer.status();
    Inputs& inputs = comparison_.inputs;
    const std::string sha256 = WordOf(ValueAt(reference_->manifest(), "/tokenizer/sha256"));
    if (!sha256.empty() && sha256 != (*tokenizer)->sha256()) {
      return absl::FailedPreconditionError(
          absl::StrCat("tokenizer.json has SHA-256 ", (*tokenizer)->sha256(), " in ",
                       options_.model, ", ", sha256, " in ", reference_->folder()));
    }
    const Json context = ValueAt(reference_->manifest(), "/model/context");
    auto tasks = ReadTasks(options_.inputs.tasks, tokenizer->get(),
                           context.is_number_integer() ? context.get<int>() : 1 << 30);
    if (!tasks.ok()) return tasks.status();
    inputs.tasks = *std::move(tasks);
    inputs.decoder = *std::move(tokenizer);
    return absl::OkStatus();
  }

  absl::Status CheckPair(DumpReader& candidate) {
    if (absl::Status s = CheckManifests(*reference_, candidate); !s.ok()) return s;
    auto prompts = ReadDumpPrompts(candidate);
    if (!prompts.ok()) return prompts.status();
    absl::Status same = CheckPrompts(comparison_.inputs.prompts, reference_->folder(), *prompts,
                                     candidate.folder());
    if (!same.ok()) return same;
    return CheckItems(*reference_, candidate, comparison_.inputs.prompts);
  }

  // The reference in another precision: what rounding alone does.
  absl::Status ReadNoise() {
    auto noise = OpenChecked(options_.recorded.noise);
    if (!noise.ok()) return noise.status();
    if (absl::Status status = CheckPair(**noise); !status.ok()) return status;
    ComputedPairs pairs(*reference_, **noise);
    auto errors = ErrorsOf(pairs, (*noise)->Items("forced"));
    if (!errors.ok()) return errors.status();
    const auto unknown = std::find_if(errors->largest.begin(), errors->largest.end(),
                                      [](double e) { return std::isinf(e); });
    if (unknown != errors->largest.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat(options_.recorded.noise, ": rounding error of the logits of prompt ",
                       unknown - errors->largest.begin(),
                       " is not known: the dumps of the reference and of the noise floor need mode "
                       "full, or leave --noise-dump out"));
    }
    for (const double e : errors->largest) allowed_.push_back(kReferenceMultiplier * e);
    for (const double e : errors->rms) spread_.push_back(kReferenceMultiplier * e);
    comparison_.noise.configuration = {.name = "noise-floor",
                                       .engine = EngineText((*noise)->manifest())};
    return Summarise(*reference_, **noise, Questions(pairs), comparison_.noise);
  }

  SummaryInputs Questions(PairedItems& pairs) {
    return {.inputs = &comparison_.inputs,
            .pairs = &pairs,
            .allowed = &allowed_,
            .spread = &spread_,
            .greedy_tokens = comparison_.options.greedy_tokens,
            .eos = eos_,
            .seed = comparison_.options.seed,
            .gap = [this](int item, int at,
                          int token) { return StoredGaps(*reference_).Of(item, at, token); },
            .nll = nullptr};
  }

  absl::StatusOr<ConfigurationResult> Measure(const std::string& folder) {
    auto candidate = OpenChecked(folder);
    if (!candidate.ok()) return candidate.status();
    if (absl::Status status = CheckPair(**candidate); !status.ok()) return status;
    const Json& manifest = (*candidate)->manifest();
    ConfigurationResult result;
    result.configuration = {.name = DumpName(folder), .engine = EngineText(manifest)};
    result.configuration.note = absl::StrCat("from the dump ", folder);
    result.engine_text = EngineText(manifest);
    result.echo = ValueAt(manifest, "/configuration/echo");
    result.bits_per_weight = std::nan("");
    result.findings = TokenizerFindings(*reference_, **candidate);
    ComputedPairs pairs(*reference_, **candidate);
    if (absl::Status s = CheckChoices(pairs, **candidate, result); !s.ok()) return s;
    absl::Status status = Summarise(*reference_, **candidate, Questions(pairs), result);
    if (!status.ok()) return status;
    for (Finding& finding : pairs.Findings()) result.findings.push_back(std::move(finding));
    for (Skip& skip : pairs.Skips()) result.skips.push_back(std::move(skip));
    AddMissingTracks(**candidate, result);
    LayerInputs layers;
    layers.reference = reference_.get();
    layers.candidate = candidate->get();
    status = MeasureLayers(layers, result);
    if (!status.ok()) return status;
    return result;
  }

  // Items of multiple choice are answers to these questions.
  absl::Status CheckChoices(ComputedPairs& pairs, DumpReader& candidate,
                            ConfigurationResult& result) {
    for (const std::string& name : candidate.Tracks()) {
      if (!name.starts_with("choice-") || reference_->Items(name) == 0) continue;
      const std::vector<TaskRequests>& tasks = comparison_.inputs.tasks;
      const auto task = std::find_if(tasks.begin(), tasks.end(), [&](const TaskRequests& t) {
        return ChoiceTrack(t).name == name;
      });
      if (task == tasks.end()) {
        result.skips.push_back({name, "give the model's folder and the task's files"});
        continue;
      }
      const auto items = static_cast<int>(task->requests.size());
      if (items != candidate.Items(name)) {
        return absl::FailedPreconditionError(absl::StrCat(candidate.folder(), ": track ", name,
                                                          " has ", candidate.Items(name),
                                                          " items, the task's files ", items));
      }
      for (int item = 0; item < items; ++item) {
        if (auto pair = pairs.Read(name, item); !pair.ok()) return pair.status();
        const auto ids = (*candidate.Read(name, item, "ids"))->As<int32_t>();
        const std::vector<int32_t>& asked = task->requests[static_cast<size_t>(item)].ids;
        if (std::equal(ids.begin(), ids.end(), asked.begin(), asked.end())) continue;
        return absl::FailedPreconditionError(
            absl::StrCat(candidate.folder(), ": ", TensorName(name, item, "ids"), " is ",
                         CommaJoined(ids), ", the task's files give ", CommaJoined(asked)));
      }
    }
    return absl::OkStatus();
  }

  void AddMissingTracks(const DumpReader& candidate, ConfigurationResult& result) const {
    for (const char* track : {"forced", "text", "steps", "greedy", "sampled", "layers"}) {
      const bool ours = reference_->Items(track) > 0, theirs = candidate.Items(track) > 0;
      if (ours == theirs) continue;
      result.skips.push_back(
          {track,
           absl::StrCat("only ", (ours ? *reference_ : candidate).folder(), " has this track")});
    }
  }

  const CompareOptions& options_;
  Comparison comparison_;
  std::unique_ptr<DumpReader> reference_;
  std::vector<double> allowed_, spread_;  // by item of the forced track
  int eos_ = -1;
};

// "forced 8 items, text 79 items; mode full".
std::string Describe(const DumpReader& dump) {
  std::vector<std::string> tracks;
  for (const std::string& track : dump.Tracks()) {
    tracks.push_back(absl::StrCat(track, " ", dump.Items(track), " items"));
  }
  uintmax_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dump.folder() + "/shards", error)) {
    bytes += entry.file_size(error);
  }
  return absl::StrFormat("%s, %s: %s; mode %s, %.3f GiB to read", dump.folder(),
                         EngineText(dump.manifest()), absl::StrJoin(tracks, ", "),
                         kLogitModeNames[static_cast<size_t>(ModeOf(dump))],
                         static_cast<double>(bytes) / (int64_t{1} << 30));
}

}  // namespace

std::string DumpName(const std::string& folder) {
  return fs::path(folder + "/").lexically_normal().parent_path().filename();
}

absl::StatusOr<Comparison> CompareDumps(const CompareOptions& options) {
  return DumpRunner(options).Run();
}

absl::StatusOr<std::vector<std::string>> DescribeDumps(const CompareOptions& options) {
  std::vector<std::string> lines;
  std::vector<std::string> folders = options.recorded.candidates;
  folders.insert(folders.begin(), options.recorded.reference);
  for (const std::string& folder : folders) {
    auto dump = OpenChecked(folder);
    if (!dump.ok()) return SetupError(dump.status());
    lines.push_back(Describe(**dump));
  }
  return lines;
}

}  // namespace crosscheck::quality
