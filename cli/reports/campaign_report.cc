#include "cli/reports/campaign_report.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/reports/campaign_memory.h"
#include "cli/reports/run_report.h"
#include "fuzz/campaign/ledger.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

using nlohmann::json;

size_t PlaceOf(const std::string& property) {
  const auto& all = Properties();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Property* p) { return p->name == property; });
  return static_cast<size_t>(found - all.begin());
}

VerdictKind VerdictOf(const FindingRow& finding) {
  if (finding.state == FindingState::kFlaky) return VerdictKind::kFlaky;
  const auto* const found =
      std::find(std::begin(kVerdictKindNames), std::end(kVerdictKindNames), finding.verdict);
  return found == std::end(kVerdictKindNames)
             ? VerdictKind::kEngineBug
             : static_cast<VerdictKind>(found - std::begin(kVerdictKindNames));
}

std::optional<FirstBad> PlaceOfFirstBad(const std::string& text) {
  const json place = json::parse(text, nullptr, false);
  if (!place.is_object()) return std::nullopt;
  const auto word = [&](const char* key) {
    const auto found = place.find(key);
    return found != place.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const auto layer = place.find("layer");
  return FirstBad{
      .layer = layer != place.end() && layer->is_number_integer() ? layer->get<int>() : -1,
      .stage = word("stage"),
      .means = word("means")};
}

// A signature that cannot be read is kept as a crash of its property, so that it is not lost.
SmokeFinding FindingOf(const FindingRow& row) {
  const auto signature = Signature::Parse(row.signature);
  SmokeFinding finding;
  finding.signature = signature.ok()
                          ? *signature
                          : Signature{row.property, row.engine, row.signature, ErrorClass::kCrash};
  finding.engine = row.engine;
  finding.verdict = VerdictOf(row);
  finding.message = row.message;
  finding.case_file = row.case_file;
  finding.marginal = row.marginal;
  finding.minimal = row.minimal;
  if (row.replays > 0) finding.failure_rate = static_cast<double>(row.failures) / row.replays;
  finding.evaluations = row.evaluations;
  finding.first_case = row.first_case;
  finding.first_seconds = row.elapsed;
  finding.count = row.count;
  finding.first_bad = PlaceOfFirstBad(row.first_bad);
  finding.localised = row.localised;
  return finding;
}

void AddRow(const CampaignRow& row, PropertyReport& report) {
  report.cases += row.sums.cases;
  report.judged += row.judged();
  report.passed += row.sums.passed;
  report.near_ties += row.sums.near_ties;
  report.findings += row.sums.findings;
  report.known += row.sums.known;
  report.setup_errors += row.sums.setup_errors;
  for (const auto& [kind, counts] : row.counters) {
    for (const auto& [name, count] : counts) {
      if (kind == kUnsupportedCounter) report.unsupported[name] += count;
      if (kind == kLabelCounter) report.coverage[name] += static_cast<double>(count);
      if (kind != kNarrowedCounter) continue;
      (name.empty() ? report.narrowed_cases : report.narrowed[name]) += count;
    }
  }
}

std::vector<PropertyReport> PropertiesOf(const std::vector<CampaignRow>& rows) {
  std::vector<PropertyReport> reports;
  std::map<std::pair<std::string, std::string>, std::map<int, int64_t>> margins;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i == 0 || rows[i].property != rows[i - 1].property) {
      reports.emplace_back().name = rows[i].property;
      margins.clear();
    }
    AddRow(rows[i], reports.back());
    for (const auto& [key, buckets] : rows[i].margins) {
      for (const auto& [bucket, count] : buckets) margins[key][bucket] += count;
    }
    if (i + 1 < rows.size() && rows[i + 1].property == rows[i].property) continue;
    PropertyReport& report = reports.back();
    for (auto& [label, share] : report.coverage) share /= static_cast<double>(report.cases);
    for (const auto& [key, buckets] : margins) {
      ErrorRatios ratios{.path = key.first, .metric = key.second};
      for (const auto& [bucket, count] : buckets) ratios.count += count;
      ratios.median = MarginQuantile(buckets, 0.5);
      ratios.percentile_99 = MarginQuantile(buckets, 0.99);
      ratios.largest = MarginQuantile(buckets, 1);
      report.error_ratios.push_back(ratios);
    }
  }
  return reports;
}

void AddErrors(const CampaignData& data, const std::vector<CampaignRow>& rows,
               SmokeReport& report) {
  int64_t judged = 0;
  for (const auto& [target, count] : Executions(data)) judged += count;
  for (const CampaignRow& row : rows) {
    judged += row.judged();
    if (row.sums.setup_errors == 0) continue;
    const auto messages = row.counters.find(std::string(kSetupErrorCounter));
    const bool known = messages != row.counters.end() && !messages->second.empty();
    report.errors.push_back(absl::StrCat(
        row.property, " on ", row.engine, ": ", row.sums.setup_errors,
        " cases could not be judged: ", known ? messages->second.begin()->first : "no reason"));
  }
  for (const RunRow& run : data.runs) {
    if (run.ended.starts_with("error")) {
      report.errors.push_back(absl::StrCat("run ", run.id, " ended with ", run.ended));
    }
  }
  if (judged == 0) report.errors.emplace_back("nothing was judged");
}

// Words of all runs, each once, in the order in which they were first used.
std::string Joined(const std::vector<RunRow>& runs, std::string RunRow::* field) {
  std::vector<std::string> words;
  for (const RunRow& run : runs) {
    for (absl::string_view word : absl::StrSplit(run.*field, ',', absl::SkipEmpty())) {
      if (std::find(words.begin(), words.end(), word) == words.end()) words.emplace_back(word);
    }
  }
  return absl::StrJoin(words, ",");
}

// The last run of every shard ended because its time was over.
bool Complete(const CampaignData& data) {
  std::map<int, std::string> ends;
  for (const RunRow& run : data.runs) ends[run.shard] = run.ended;
  return !ends.empty() && std::all_of(ends.begin(), ends.end(),
                                      [](const auto& end) { return end.second == "time"; });
}

json RunJson(const RunRow& run) {
  return {{"run", run.id},          {"shard", run.shard},         {"shards", run.shards},
          {"build", run.build},     {"engines", run.engines},     {"versions", run.engine_versions},
          {"seed", run.seed},       {"strategy", run.strategy},   {"jobs", run.jobs},
          {"started", run.started}, {"start", run.start_elapsed}, {"seconds", run.seconds},
          {"ended", run.ended}};
}

}  // namespace

double MarginQuantile(const std::map<int, int64_t>& buckets, double share) {
  int64_t all = 0, passed = 0;
  for (const auto& [bucket, count] : buckets) all += count;
  for (const auto& [bucket, count] : buckets) {
    passed += count;
    if (count > 0 && static_cast<double>(passed) >= share * static_cast<double>(all)) {
      return bucket == kLeastMargin ? 0 : MarginBucketTop(bucket);
    }
  }
  return 0;
}

std::vector<CampaignRow> CampaignRows(const CampaignData& data) {
  using Key = std::pair<size_t, std::pair<std::string, std::string>>;
  std::map<Key, CampaignRow> rows;
  const auto row = [&](const std::string& engine, const std::string& property) -> CampaignRow& {
    CampaignRow& found = rows[{PlaceOf(property), {property, engine}}];
    found.engine = engine;
    found.property = property;
    return found;
  };
  for (const BatchRow& batch : data.activity) {
    if (batch.driver != kLibFuzzerDriver) AddCounts(batch, row(batch.engine, batch.property).sums);
  }
  for (const CounterRow& c : data.counters) {
    row(c.engine, c.property).counters[c.kind][c.name] += c.count;
  }
  for (const MarginRow& m : data.margins) {
    row(m.engine, m.property).margins[{m.path, m.metric}][m.bucket] += m.count;
  }
  std::vector<CampaignRow> sorted;
  for (auto& [key, value] : rows) {
    if (value.sums.cases > 0) sorted.push_back(std::move(value));
  }
  return sorted;
}

std::map<std::string, int64_t> Executions(const CampaignData& data) {
  std::map<std::string, int64_t> executions;
  for (const BatchRow& batch : data.activity) {
    if (batch.driver == kLibFuzzerDriver) executions[batch.property] += batch.cases;
  }
  return executions;
}

double CampaignSeconds(const CampaignData& data) {
  std::map<int, double> by_shard;
  for (const RunRow& run : data.runs) by_shard[run.shard] += run.seconds;
  double longest = 0;
  for (const auto& [shard, seconds] : by_shard) longest = std::max(longest, seconds);
  return longest;
}

SmokeReport CampaignReport(const CampaignData& data) {
  const std::vector<CampaignRow> rows = CampaignRows(data);
  SmokeReport report;
  report.command = "report";
  report.engine = Joined(data.runs, &RunRow::engines);
  report.engine_version = Joined(data.runs, &RunRow::engine_versions);
  report.build = data.runs.empty() ? "" : data.runs.back().build;
  report.seed = data.runs.empty() ? 0 : data.runs.front().seed;
  report.properties = PropertiesOf(rows);
  for (const CampaignRow& row : rows) report.cases += row.sums.cases;
  report.seconds = CampaignSeconds(data);
  if (report.seconds > 0) {
    report.cases_per_second = static_cast<double>(report.cases) / report.seconds;
  }
  report.complete = Complete(data);
  for (const FindingRow& finding : data.findings) {
    report.findings.push_back(FindingOf(finding));
    const std::string& property = report.findings.back().signature.property;
    const bool listed = std::any_of(report.properties.begin(), report.properties.end(),
                                    [&](const PropertyReport& p) { return p.name == property; });
    if (!listed) report.properties.emplace_back().name = property;  // only a target ran it
  }
  std::set<std::string> narrowed;
  for (const RunRow& run : data.runs) narrowed.insert(run.narrowed.begin(), run.narrowed.end());
  report.narrowed.assign(narrowed.begin(), narrowed.end());
  AddErrors(data, rows, report);
  return report;
}

json CampaignJson(const CampaignData& data, const SmokeReport& summary) {
  json report = ReportJson(summary);
  report["executions"] = json::object();
  for (const auto& [target, count] : Executions(data)) report["executions"][target] = count;
  for (const char* list : {"runs", "coverage_over_time", "restarts"}) report[list] = json::array();
  for (const RunRow& run : data.runs) report["runs"].push_back(RunJson(run));
  for (const SampleRow& s : data.samples) {
    report["coverage_over_time"].push_back({{"run", s.run},
                                            {"seconds", s.elapsed},
                                            {"cases", s.cases},
                                            {"features", s.features},
                                            {"edges", s.edges},
                                            {"inputs", s.inputs},
                                            {"findings", s.findings},
                                            {"near_ties", s.near_ties},
                                            {"rss_bytes", s.rss_bytes},
                                            {"supervisor_bytes", s.supervisor_bytes},
                                            {"worker_bytes", s.worker_bytes},
                                            {"disk_bytes", s.disk_bytes}});
  }
  report["memory_megabytes_per_hour"] = MemoryJson(data);
  for (const RestartRow& r : data.restarts) {
    report["restarts"].push_back(
        {{"run", r.run}, {"seconds", r.elapsed}, {"what", r.what}, {"reason", r.reason}});
  }
  for (size_t i = 0; i < data.findings.size(); ++i) {
    json& finding = report["findings"][i];
    finding["state"] = kFindingStateNames[static_cast<size_t>(data.findings[i].state)];
    finding["reduced"] = data.findings[i].reduced_text;
  }
  return report;
}

}  // namespace crosscheck
