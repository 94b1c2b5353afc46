#include "quality/compare.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "quality/candidate_folder.h"
#include "quality/compare_plan.h"
#include "quality/comparison_recording.h"
#include "quality/layers.h"
#include "quality/manifest.h"
#include "quality/metrics/layer_distance.h"
#include "quality/paired_items.h"
#include "reference/error_bound.h"

namespace crosscheck::quality {
namespace {

// Records one side after the other and sums up what the dumps say.
class Runner {
 public:
  explicit Runner(const CompareOptions& options) : options_(options) {}

  absl::StatusOr<Comparison> Run() {
    if (absl::Status status = PrepareComparison(options_, comparison_, spec_); !status.ok()) {
      return status;
    }
    if (absl::Status status = recording_.RecordReference(); !status.ok()) return status;
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
    absl::Status status = recording_.Record(configuration, (*folder)->path(), role, result);
    if (!status.ok()) return status;
    DumpReader& reference = recording_.reference_dump();
    auto dump = DumpReader::Open(recording_.DumpFolder(configuration.name));
    if (!dump.ok()) return dump.status();
    status = CheckComparable(reference.manifest(), (*dump)->manifest());
    if (!status.ok()) return status;
    const std::unique_ptr<PairedItems> pairs = RecordedPairs(reference, **dump);
    if (role == SideRole::kNoise) status = TakeRounding(*pairs, (*dump)->Items("forced"));
    if (!status.ok()) return status;
    const Timed timed(comparison_.cost.Of(configuration.name, "summary"), Work::kReference);
    SummaryInputs questions = recording_.Questions();
    questions.pairs = pairs.get();
    status = Summarise(reference, **dump, questions, result);
    if (!status.ok() || role != SideRole::kCandidate) return status;
    AddAdapterEffect(result);
    return MeasureLayers({.reference = &reference,
                          .candidate = dump->get(),
                          .forced = &recording_.forced(),
                          .candidate_folder = (*folder)->path(),
                          .adapted = !options_.adapter.empty()},
                         result);
  }

  absl::Status TakeRounding(PairedItems& noise, int items) {
    auto errors = ErrorsOf(noise, items);
    if (!errors.ok()) return errors.status();
    std::vector<double> allowed, spread;
    for (const double e : errors->largest) allowed.push_back(kReferenceMultiplier * e);
    for (const double e : errors->rms) spread.push_back(kReferenceMultiplier * e);
    recording_.SetRounding(std::move(allowed), std::move(spread));
    return absl::OkStatus();
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

  const CompareOptions& options_;
  Comparison comparison_;
  ModelSpec spec_;
  ComparisonRecording recording_{options_, comparison_, spec_};
};

}  // namespace

absl::StatusOr<Comparison> Compare(const CompareOptions& options) { return Runner(options).Run(); }

}  // namespace crosscheck::quality
