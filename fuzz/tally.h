// Collects the outcomes of a sequence, in its order, into the counts of a report and one bucket per
// signature.
#ifndef CROSSCHECK_FUZZ_TALLY_H_
#define CROSSCHECK_FUZZ_TALLY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "fuzz/smoke.h"
#include "properties/judges/drift.h"

namespace crosscheck {

struct Outcome {
  const Property* property = nullptr;
  int64_t index = -1;  // in the sequence; -1: a regression file
  double seconds = 0;  // since the sequence began; of findings
  Verdict verdict;
  std::optional<Case> value;  // only of findings
  std::vector<std::string> labels;
  std::vector<std::string> narrowed = {};  // fields (properties/visitors/ranges.h)
};

// The cases of one signature.
struct Bucket {
  const Property* property = nullptr;
  Case first;
  Verdict verdict;
  int64_t first_index = -1;
  double first_seconds = 0;
  int64_t count = 0;
};

class Tally {
 public:
  Tally(const SmokeOptions& options, std::string engine_version);

  void Add(Outcome outcome);
  const std::vector<Bucket>& buckets() const {
    return buckets_;
  }  // in the order of their first case
  int64_t findings() const;
  // Fills properties, cases, drifts and errors.
  void Report(SmokeReport& report) const;

 private:
  struct Counts {
    PropertyReport report;
    absl::flat_hash_map<std::string, int64_t> labels;
    std::map<std::pair<std::string, std::string>, std::vector<float>> ratios;  // by path and metric
    std::string first_setup_error;
    DriftTest drift;
  };
  void AddDrift(const Verdict& verdict, DriftTest& drift) const;
  bool IsKnown(const Outcome& outcome) const;
  void AddFinding(Outcome outcome, PropertyReport& report);
  void CheckQuotas(SmokeReport& report) const;

  const SmokeOptions& options_;
  const std::string engine_version_;
  absl::flat_hash_map<std::string, const BucketBounds*> bounds_;  // by the name that verdicts give
  std::map<const Property*, Counts> counts_;
  std::vector<Bucket> buckets_;
};

}  // namespace crosscheck

#endif  // CROSSCHECK_FUZZ_TALLY_H_
