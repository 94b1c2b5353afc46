// Plots as inline SVG: each has a title and a description for screen readers, a legend in which a
// dash pattern or a mark says what the colour says, and its numbers in a table below.
//
// Example:
//   Plot plot{.title = "Coverage", .description = "…", .x = {.label = "h"}, .y = {.label =
//   "features"}}; plot.series.push_back({"shard 0", MarkKind::kLine, {{0, 10}, {1, 25}}}); Markup
//   figure = plot.Render();
#ifndef CROSSCHECK_CLI_REPORTS_SVG_CHART_H_
#define CROSSCHECK_CLI_REPORTS_SVG_CHART_H_

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/reports/markup.h"

namespace crosscheck {

struct PlotPoint {
  double x = 0, y = 0;
  double low = std::nan(""), high = std::nan("");  // kRange: along x; kLine: a band along y
  std::string name = {};                           // written beside the point
};

enum class MarkKind {
  kLine,
  kStep,    // keeps its value until the next point
  kPoints,  // a mark for each
  kBars,    // from 0 (or the lower edge) up to y, one unit of x wide
  kRange    // a mark at (x, y) and a line from low to high
};

struct PlotSeries {
  std::string name;
  MarkKind kind = MarkKind::kLine;
  std::vector<PlotPoint> points;  // ones that are not finite are left out
};

struct PlotAxis {
  std::string label;
  bool logarithmic = false;  // values <= 0 are drawn at the lower edge
  bool from_zero = false;
  std::vector<std::pair<double, std::string>> ticks = {};  // instead of computed ones
  std::optional<double> least = {}, largest = {};          // of the range at least
};

struct PlotRule {  // a straight line across the plot
  std::string name;
  double at = 0;
  bool vertical = false;
};

struct Plot {
  std::string title, description;
  PlotAxis x, y;
  std::vector<PlotSeries> series = {};
  std::vector<PlotRule> rules = {};
  std::string range_label = "interval";  // what low and high are, for the table
  Markup Render() const;                 // a sentence instead where there is no point
};

// Histograms with common buckets, one above the other. Bucket b stands for values from 2^(b/2) to
// 2^((b+1)/2); a rule at 1 divides those within a bound from those beyond.
struct DensityRow {
  std::string name, note;
  std::map<int, int64_t> buckets;
};
struct DensityChart {
  std::string title, description, label;
  int exact_bucket;        // which means the value 0
  int least_bucket = -20;  // the axis starts here or at a lesser one that is used
  std::vector<DensityRow> rows = {};
  Markup Render() const;
};

// Shares of a whole as one bar: colours 0 (grey) … 6 and shares; what is missing stays empty.
Markup MixBar(const std::string& description, const std::vector<std::pair<int, double>>& shares);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_SVG_CHART_H_
