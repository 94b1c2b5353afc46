#include "fuzz/tally.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "fuzz/coverage_quotas.h"

namespace crosscheck {
namespace {

// The value below which a share of the sorted values lies, by the nearest rank.
double Quantile(const std::vector<float>& sorted, double share) {
  const auto rank = static_cast<size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

ErrorRatios Summarise(const std::pair<std::string, std::string>& key, std::vector<float> ratios) {
  std::sort(ratios.begin(), ratios.end());
  return {.path = key.first,
          .metric = key.second,
          .count = static_cast<int64_t>(ratios.size()),
          .median = Quantile(ratios, 0.5),
          .percentile_99 = Quantile(ratios, 0.99),
          .largest = ratios.back()};
}

}  // namespace

Tally::Tally(const SmokeOptions& options, std::string engine_version)
    : options_(options), engine_version_(std::move(engine_version)) {
  for (const auto& [key, bounds] : CommittedErrorBounds().buckets()) {
    bounds_[key.ToString()] = &bounds;
  }
}

void Tally::AddDrift(const Verdict& verdict, DriftTest& drift) const {
  const auto bounds = bounds_.find(verdict.bucket);
  if (bounds == bounds_.end()) return;
  for (const Measure& measure : verdict.measures) {
    if (measure.metric != kMetricNames[Index(Metric::kCentredRms)]) continue;
    if (measure.reference_error >= 0) {
      drift.Add(bounds->second, measure.error, measure.reference_error);
    }
  }
}

void Tally::Add(Outcome outcome) {
  Counts& counts = counts_[outcome.property];
  PropertyReport& report = counts.report;
  ++report.cases;
  for (const std::string& label : outcome.labels) ++counts.labels[label];
  report.narrowed_cases += outcome.narrowed.empty() ? 0 : 1;
  for (const std::string& field : outcome.narrowed) ++report.narrowed[field];
  for (const Measure& measure : outcome.verdict.measures) {
    if (measure.bound <= 0) continue;
    counts.ratios[{measure.path, measure.metric}].push_back(
        static_cast<float>(measure.error / measure.bound));
  }
  if (outcome.index >= 0) AddDrift(outcome.verdict, counts.drift);
  switch (outcome.verdict.kind) {
    case VerdictKind::kUnsupported:
      ++report.unsupported[outcome.verdict.message];
      return;
    case VerdictKind::kSetupError:
      if (report.setup_errors++ == 0) counts.first_setup_error = outcome.verdict.message;
      return;
    case VerdictKind::kPass:
      ++report.passed;
      break;
    case VerdictKind::kNearTie:
      ++report.near_ties;
      break;
    default:
      AddFinding(std::move(outcome), report);
  }
  ++report.judged;
}

bool Tally::IsKnown(const Outcome& outcome) const {
  return std::any_of(options_.known_issues.begin(), options_.known_issues.end(),
                     [&](const KnownIssue& issue) {
                       return issue.Matches(outcome.verdict.signature, options_.executor.engine,
                                            engine_version_, *outcome.value);
                     });
}

void Tally::AddFinding(Outcome outcome, PropertyReport& report) {
  if (IsKnown(outcome)) {
    ++report.known;
    return;
  }
  ++report.findings;
  const auto bucket = std::find_if(buckets_.begin(), buckets_.end(), [&](const Bucket& b) {
    return b.verdict.signature == outcome.verdict.signature &&
           b.verdict.kind == outcome.verdict.kind;
  });
  if (bucket != buckets_.end()) {
    ++bucket->count;
    return;
  }
  buckets_.push_back({.property = outcome.property,
                      .first = *std::move(outcome.value),
                      .verdict = std::move(outcome.verdict),
                      .first_index = outcome.index,
                      .first_seconds = outcome.seconds,
                      .count = 1});
}

int64_t Tally::findings() const {
  int64_t sum = 0;
  for (const Bucket& bucket : buckets_) sum += bucket.count;
  return sum;
}

void Tally::Report(SmokeReport& report) const {
  int64_t judged = 0;
  for (const Property* property : options_.properties) {
    const auto found = counts_.find(property);
    PropertyReport row = found == counts_.end() ? PropertyReport() : found->second.report;
    row.name = std::string(property->name);
    report.cases += row.cases;
    judged += row.judged;
    if (found != counts_.end()) {
      const Counts& counts = found->second;
      for (const auto& [label, count] : counts.labels) {
        row.coverage[label] = static_cast<double>(count) / static_cast<double>(row.cases);
      }
      for (const auto& [key, ratios] : counts.ratios)
        row.error_ratios.push_back(Summarise(key, ratios));
      if (counts.drift.cases() > 0) {
        report.drifts.push_back({.property = row.name,
                                 .cases = counts.drift.cases(),
                                 .log_evidence = counts.drift.log_evidence(),
                                 .flagged = counts.drift.Flagged()});
      }
    }
    if (row.setup_errors > 0) {
      report.errors.push_back(
          absl::StrCat(row.name, ": ", row.setup_errors,
                       " cases could not be judged: ", found->second.first_setup_error));
    }
    report.properties.push_back(std::move(row));
  }
  if (judged == 0) report.errors.emplace_back("nothing was judged");
  if (!options_.architecture) CheckQuotas(report);
}

void Tally::CheckQuotas(SmokeReport& report) const {
  std::map<const Subject*, std::pair<int64_t, std::map<std::string, int64_t>>> by_subject;
  for (const auto& [property, counts] : counts_) {
    auto& [cases, labels] = by_subject[property->subject];
    cases += counts.report.cases;
    for (const auto& [label, count] : counts.labels) labels[label] += count;
  }
  for (const auto& [subject, drawn] : by_subject) {
    for (std::string& line : ViolatedQuotas(subject->name, drawn.second, drawn.first,
                                            options_.cases_per_model, report.narrowed)) {
      report.errors.push_back(std::move(line));
    }
  }
}

}  // namespace crosscheck
