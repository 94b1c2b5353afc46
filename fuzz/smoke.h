// The fixed sequence of cases of `crosscheck smoke`: drawn by (seed, index), run by several
// workers, merged in order.
//
// Properties take turns in a fixed round in which each has `share` places. Groups of successive
// cases share one model, and a group is run by one worker, so that a model is loaded once. Results
// are merged in the order of the sequence: a report does not depend on the number of workers. A
// time limit or an interruption only cuts the sequence (SmokeReport::complete).
#ifndef CROSSCHECK_FUZZ_SMOKE_H_
#define CROSSCHECK_FUZZ_SMOKE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "fuzz/executor.h"
#include "fuzz/known_issues.h"
#include "fuzz/localise.h"
#include "fuzz/minimise.h"
#include "properties/property.h"

namespace crosscheck {

struct SmokeOptions {
  ExecutorOptions executor;                 // engine under test, deadline, use of references
  std::vector<const Property*> properties;  // empty: all
  uint64_t seed = 1;
  int64_t cases = 45000;   // of all properties together
  double max_seconds = 0;  // wall clock of the sequence; 0: none
  int jobs = 2;
  int cases_per_model = 16;
  // Models of the sequence have this architecture, scaled down
  // (properties/visitors/architecture.h); coverage quotas, which describe the default generator,
  // are not checked then.
  std::optional<ModelSpec> architecture = {};
  std::vector<std::string> regressions;  // case files that run first
  std::vector<KnownIssue> known_issues;
  std::string out;           // where findings are written; empty: nowhere
  std::string build;         // written into findings and the report
  MinimiseOptions minimise;  // for each finding
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(int64_t done, int64_t total, int64_t findings)>
      progress;  // after each group, one at a time
};

// Error divided by bound over the passed and failed cases of one path and metric.
struct ErrorRatios {
  std::string path, metric;
  int64_t count = 0;
  double median = 0, percentile_99 = 0, largest = 0;
};

struct PropertyReport {
  std::string name;
  int64_t cases = 0;   // run; the sum of the following five and of near ties
  int64_t judged = 0;  // cases with a verdict other than UNSUPPORTED and SETUP_ERROR
  int64_t passed = 0;
  int64_t near_ties = 0;  // cases whose verdict is NEAR_TIE
  int64_t findings = 0, known = 0;
  int64_t baseline = 0;  // findings of a signature that an earlier run had, not in `findings`
  int64_t setup_errors = 0;
  std::map<std::string, int64_t> unsupported;  // by reason
  std::map<std::string, double> coverage;      // share of the cases with a label
  std::vector<ErrorRatios> error_ratios;
  int64_t narrowed_cases = 0;               // in which the engine's limits narrowed a field
  std::map<std::string, int64_t> narrowed;  // the same by field
};

// One signature: its first case, minimised.
struct SmokeFinding {
  Signature signature;
  std::string engine;
  VerdictKind verdict = VerdictKind::kEngineBug;
  std::string message;
  std::string case_file;  // empty when nothing was to be written
  bool marginal = false;
  bool minimal = false;  // no shrink step is left
  double failure_rate = 1;
  int evaluations = 0;
  int64_t first_case = 0;    // index in the sequence; -1: a regression file
  double first_seconds = 0;  // of the sequence until then
  int64_t count = 0;         // cases with this signature
  bool baseline = false;  // an earlier run had it (cli/reports/baseline.h): does not fail the run
  std::optional<FirstBad> first_bad = {};
  std::string localised = {};  // Localisation::ToLine(); empty: not of a kind that has a place
};

// The sign test of numeric drift over a property's cases (properties/judges/drift.h): a run-level
// finding when flagged, never minimised.
struct DriftReport {
  std::string property;
  int cases = 0;            // on which libtorch ran and whose bucket is calibrated
  double log_evidence = 0;  // natural logarithm; flagged for good once it reached ln(1e6)
  bool flagged = false;
  bool baseline = false;  // as of a finding
};

// Seconds of all workers together; judge: what is left of `busy` (conduct only, never judged).
struct SmokeSeconds {
  StageSeconds stages;
  double draw = 0, judge = 0, busy = 0;
};

struct SmokeReport {
  std::string command = "smoke";  // the verb that made it: replay reports in the same form
  std::string engine, engine_version, build;
  uint64_t seed = 0;
  int64_t cases = 0;
  double seconds = 0, cases_per_second = 0;  // of the sequence, without the minimiser
  bool complete = false;
  std::vector<PropertyReport> properties;
  std::vector<SmokeFinding> findings;  // in the order of their first case
  std::vector<DriftReport> drifts;     // of the properties with such cases
  std::vector<std::string> narrowed;   // features that the engine does not serve
  std::vector<std::pair<std::string, std::string>>
      architecture;  // kept of SmokeOptions::architecture, name and value
  std::vector<std::string>
      errors;  // harness problems: nothing judged, a violated quota, set-up errors
  SmokeSeconds stage_seconds;
};

// An error status when the run could not start at all (no such engine, unreadable regression).
absl::StatusOr<SmokeReport> RunSmoke(const SmokeOptions& options);

// The case with this index of the sequence.
struct SequencedCase {
  const Property* property;
  Case value;
};
SequencedCase CaseOfSequence(const SmokeOptions& options, const Limits& limits, int64_t index);

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_SMOKE_H_
