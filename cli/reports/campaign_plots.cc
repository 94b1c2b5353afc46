// The plots of campaign_page.h.
#include <algorithm>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "cli/reports/campaign_page.h"
#include "cli/reports/campaign_report.h"
#include "cli/reports/svg_chart.h"
#include "fmt/format.h"
#include "fuzz/coverage_quotas.h"
#include "properties/property.h"

namespace crosscheck {
namespace {

struct TimeUnit {
  std::string name;
  double seconds;
};

TimeUnit UnitFor(double seconds) {
  if (seconds < 600) return {"s", 1};
  return seconds < 3 * 3600 ? TimeUnit{"min", 60} : TimeUnit{"h", 3600};
}

class OverTime {
 public:
  explicit OverTime(const CampaignData& data) : data_(data) {
    for (const RunRow& run : data.runs) shard_of_[run.id] = run.shard;
    for (const SampleRow& sample : data.samples) longest_ = std::max(longest_, sample.elapsed);
    unit_ = UnitFor(longest_);
  }

  // One line for each shard.
  Plot Lines(const std::string& title, const std::string& description, const std::string& label,
             const std::function<double(const SampleRow&)>& value) const {
    Plot plot = Empty(title, description, label);
    std::map<int, std::vector<PlotPoint>> by_shard;
    for (const SampleRow& sample : data_.samples) {
      const auto run = shard_of_.find(sample.run);
      by_shard[run == shard_of_.end() ? 0 : run->second].push_back(
          {.x = sample.elapsed / unit_.seconds, .y = value(sample)});
    }
    for (auto& [shard, points] : by_shard) {
      plot.series.push_back({absl::StrCat("shard ", shard), MarkKind::kLine, std::move(points)});
    }
    return plot;
  }

  Plot Findings() const {
    Plot plot = Empty("Findings over time",
                      "Signatures seen until then, known issues excluded; from the first sighting "
                      "of each.",
                      "signatures");
    std::vector<PlotPoint> points = {{.x = 0, .y = 0}};
    for (const FindingRow& finding : data_.findings) {  // in the order of their time
      points.push_back({.x = finding.elapsed / unit_.seconds, .y = points.back().y + 1});
    }
    points.push_back({.x = longest_ / unit_.seconds, .y = points.back().y});
    plot.y.largest = 1;
    plot.series.push_back({"signatures", MarkKind::kStep, std::move(points)});
    return plot;
  }

 private:
  Plot Empty(const std::string& title, const std::string& description,
             const std::string& label) const {
    return {.title = title,
            .description = description,
            .x = {.label = "campaign time, " + unit_.name, .from_zero = true},
            .y = {.label = label, .from_zero = true}};
  }

  const CampaignData& data_;
  std::map<int64_t, int> shard_of_;
  double longest_ = 0;
  TimeUnit unit_;
};

// Counts of labels of one subject, by column (property), and cases.
struct Labels {
  std::vector<std::string> columns;
  std::map<std::string, int64_t> cases;
  std::map<std::string, std::map<std::string, int64_t>> counts;  // label, column
};

std::map<std::string, Labels> LabelsBySubject(const std::vector<CampaignRow>& rows) {
  std::map<std::string, Labels> subjects;
  for (const CampaignRow& row : rows) {
    const Property* property = FindProperty(row.property);
    if (property == nullptr) continue;
    Labels& labels = subjects[std::string(property->subject->name)];
    if (labels.cases[row.property] == 0) labels.columns.push_back(row.property);
    labels.cases[row.property] += row.sums.cases;
    const auto counts = row.counters.find(std::string(kLabelCounter));
    if (counts == row.counters.end()) continue;
    for (const auto& [label, count] : counts->second) labels.counts[label][row.property] += count;
  }
  return subjects;
}

// Least share of a label by its quota; 0: none.
double QuotaOf(const std::string& subject, const std::string& label) {
  for (const CoverageQuota& quota : CoverageQuotas()) {
    if (quota.subject == subject && quota.label == label && quota.family.empty()) {
      return quota.least_share;
    }
  }
  return 0;
}

HeatMap::Cell ShareCell(int64_t count, int64_t cases, double quota) {
  const double share = cases > 0 ? static_cast<double>(count) / static_cast<double>(cases) : 0;
  const std::string text = count == 0 ? "0" : fmt::format("{:.3g}", 100 * share);
  return {.shade = share, .text = text, .marked = count == 0 || share < quota};
}

HeatMap LabelMap(const std::string& subject, Labels labels) {
  // A label that has a quota but was never drawn has a row all the same.
  for (const CoverageQuota& quota : CoverageQuotas()) {
    if (quota.subject == subject) labels.counts.try_emplace(std::string(quota.label));
  }
  HeatMap map{.caption = absl::StrCat("Subject ", subject,
                                      ": share of the cases with a label, %. "
                                      "Framed: never, or below the least share"),
              .corner = "label",
              .columns = {"all", "least"},
              .rows = {}};
  map.columns.insert(map.columns.end(), labels.columns.begin(), labels.columns.end());
  for (const auto& [label, by_property] : labels.counts) {
    int64_t count = 0, cases = 0;
    std::vector<HeatMap::Cell> cells;
    for (const std::string& property : labels.columns) {
      const auto found = by_property.find(property);
      const int64_t here = found == by_property.end() ? 0 : found->second;
      cells.push_back(ShareCell(here, labels.cases[property], 0));
      count += here;
      cases += labels.cases[property];
    }
    const double quota = QuotaOf(subject, label);
    cells.insert(cells.begin(), {ShareCell(count, cases, quota),
                                 {.shade = std::nullopt,
                                  .text = quota > 0 ? fmt::format("{:g}", 100 * quota) : ""}});
    map.rows.emplace_back(label, std::move(cells));
  }
  return map;
}

std::string RatioText(double ratio) { return ratio == 0 ? "0" : "≤ " + NumberText(ratio); }

}  // namespace

Markup CampaignOverTime(const CampaignData& data) {
  if (data.samples.empty()) return Paragraph("No sample was recorded.");
  const OverTime time(data);
  Markup plots;
  plots += time.Lines("Coverage over time",
                      "Features of observations and generator labels that were seen.", "features",
                      [](const SampleRow& s) { return static_cast<double>(s.features); })
               .Render();
  const bool edges = std::any_of(data.samples.begin(), data.samples.end(),
                                 [](const SampleRow& s) { return s.edges > 0; });
  if (edges) {
    plots += time.Lines("Code coverage over time", "Edges that the fuzz targets reached, summed.",
                        "edges", [](const SampleRow& s) { return static_cast<double>(s.edges); })
                 .Render();
  }
  plots += time.Findings().Render();
  plots += time.Lines("Cases over time", "Cases of the shard, executions of targets included.",
                      "cases", [](const SampleRow& s) { return static_cast<double>(s.cases); })
               .Render();
  plots += time.Lines("Near ties over time",
                      "Cases that rounding alone decides, and which therefore say nothing.",
                      "cases", [](const SampleRow& s) { return static_cast<double>(s.near_ties); })
               .Render();
  constexpr double kMebibyte = 1 << 20;
  plots +=
      time.Lines("Memory", "Resident memory of supervisor, workers and engines together.", "MiB",
                 [](const SampleRow& s) { return static_cast<double>(s.rss_bytes) / kMebibyte; })
          .Render();
  plots +=
      time.Lines("Disk", "Size of the work directory.", "MiB",
                 [](const SampleRow& s) { return static_cast<double>(s.disk_bytes) / kMebibyte; })
          .Render();
  return Element("div", {{"class", "plots"}}, plots);
}

Markup CampaignMargins(const CampaignData& data) {
  const std::vector<CampaignRow> rows = CampaignRows(data);
  int least = -20;
  for (const MarginRow& m : data.margins) {
    if (m.bucket != kLeastMargin) least = std::min(least, m.bucket);
  }
  HtmlTable table{.caption =
                      "Upper edges of the half-octave bucket in which the median, 99 % and the "
                      "largest of the ratios lie",
                  .columns = {{"property"},
                              {"engine"},
                              {"path"},
                              {"metric"},
                              {"count", true},
                              {"median", true},
                              {"99 %", true},
                              {"largest", true}},
                  .rows = {}};
  Markup charts;
  for (const CampaignRow& row : rows) {
    if (row.margins.empty()) continue;
    DensityChart chart{.title = absl::StrCat(row.property, " on ", row.engine),
                       .description = "Each row is scaled to its most frequent bucket.",
                       .label = "error / bound",
                       .exact_bucket = kLeastMargin,
                       .least_bucket = least};
    for (const auto& [key, buckets] : row.margins) {
      int64_t count = 0;
      for (const auto& [bucket, number] : buckets) count += number;
      const std::string largest = RatioText(MarginQuantile(buckets, 1));
      chart.rows.push_back(
          {absl::StrCat(key.first, " · ", key.second), "largest " + largest, buckets});
      table.rows.push_back({row.property, row.engine, key.first, key.second, GroupedCount(count),
                            RatioText(MarginQuantile(buckets, 0.5)),
                            RatioText(MarginQuantile(buckets, 0.99)), largest});
    }
    charts += chart.Render();
  }
  if (charts.empty()) return Paragraph("No error was measured against a bound.");
  return Paragraph(
             "What lies right of the rule is a finding. A density that comes near it from one "
             "campaign to the next is a margin that shrinks.") +
         Element("div", {{"class", "plots"}}, charts) + table.Render();
}

Markup CampaignGenerator(const CampaignData& data) {
  Markup body;
  for (auto& [subject, labels] : LabelsBySubject(CampaignRows(data))) {
    HeatMap map = LabelMap(subject, labels);
    if (!map.rows.empty()) body += map.Render();
  }
  return body.empty() ? Paragraph("No case was labelled.")
                      : Element("div", {{"class", "plots"}}, body);
}

}  // namespace crosscheck
