// The recording half of a comparison: the reference's dump, then that of each configuration.
//
// Example:
//   ComparisonRecording recording(options, comparison, spec);
//   recording.RecordReference();
//   recording.Record(configuration, folder, SideRole::kCandidate, result);
#ifndef CROSSCHECK_QUALITY_COMPARISON_RECORDING_H_
#define CROSSCHECK_QUALITY_COMPARISON_RECORDING_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quality/compare.h"
#include "quality/dump.h"
#include "quality/reference_rows.h"
#include "quality/sampled_track.h"
#include "quality/side.h"
#include "reference/model_spec.h"

namespace crosscheck::quality {

// What a dump beside the reference's is for.
enum class SideRole { kNoise, kWithoutAdapter, kCandidate };

class ComparisonRecording {
 public:
  // All must outlive it; `comparison` is prepared and takes what the recording costs.
  ComparisonRecording(const CompareOptions& options, Comparison& comparison, const ModelSpec& spec)
      : options_(options), comparison_(comparison), spec_(spec) {}

  // Before anything else.
  absl::Status RecordReference();
  // The dump of one configuration of the model in `folder`. FailedPrecondition: it is another
  // model; Aborted and the like are the engine's.
  absl::Status Record(const Configuration& configuration, const std::string& folder, SideRole role,
                      ConfigurationResult& result);
  // The errors of a logit that two legal roundings make, by prompt: the largest and their spread.
  void SetRounding(std::vector<double> allowed, std::vector<double> spread) {
    allowed_ = std::move(allowed);
    spread_ = std::move(spread);
  }

  std::string DumpFolder(const std::string& name) const;
  DumpReader& reference_dump() { return *reference_dump_; }
  const Track& forced() const { return tracks_[0]; }
  // What a summary may ask of the reference.
  SummaryInputs Questions();

 private:
  RecordOptions Recording(const std::string& side, LogitMode mode);
  absl::StatusOr<std::unique_ptr<Side>> OpenSide(const std::string& name,
                                                 const SideOptions& options);
  void AddMemory(const std::string& name, const Side& side, const std::string& phase);
  absl::StatusOr<std::unique_ptr<DumpWriter>> OpenDump(const std::string& name, Json manifest);
  absl::Status OpenReferenceDump();
  absl::Status MakeTracks();
  absl::StatusOr<std::unique_ptr<DumpWriter>> OpenCandidateDump(const Configuration& configuration,
                                                                const std::string& folder,
                                                                SideRole role, const Side& side);
  absl::Status RecordLogits(const Configuration& configuration, SideRole role, Side& side,
                            DumpWriter& writer, ConfigurationResult& result);
  absl::Status RecordTokens(const Configuration& configuration, Side& side, DumpWriter& writer,
                            ConfigurationResult& result);
  bool sequential() const { return !comparison_.inputs.order.empty(); }
  int AllPrompts() const { return static_cast<int>(comparison_.inputs.prompts.size()); }
  absl::Status RunFurther(Recorder& recorder, int last) const;
  absl::Status RecordGreedy(Recorder& recorder, const std::string& name);
  absl::Status RecordChoices(Side& side, DumpWriter& writer, const std::string& name,
                             std::vector<Skip>* skips);
  absl::Status PlanSampled();
  absl::Status RecordSampled(Recorder& recorder, std::vector<Skip>* skips) const;

  const CompareOptions& options_;
  Comparison& comparison_;
  const ModelSpec& spec_;
  std::vector<Track> tracks_;  // forced, then text and steps when there is a text
  SampledPlan sampled_;
  std::unique_ptr<Side> reference_side_;
  std::unique_ptr<DumpWriter> reference_writer_;
  std::unique_ptr<DumpReader> reference_dump_;
  std::unique_ptr<ReferenceRows> reference_rows_;
  std::string reference_hash_;
  std::vector<double> allowed_, spread_;  // by prompt
};

}  // namespace crosscheck::quality

#endif  // CROSSCHECK_QUALITY_COMPARISON_RECORDING_H_
