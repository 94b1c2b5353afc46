// The plots of compare_page.h.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/reports/compare_cells.h"
#include "cli/reports/compare_page.h"
#include "cli/reports/svg_chart.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

using quality::Comparison;
using quality::ConfigurationResult;
using quality::Estimate;

constexpr size_t kTailPoints = 200;
constexpr double kLeastShade = -3, kLargestShade = 1;  // decades of error over bound

PlotSeries ByPosition(const ConfigurationResult& result, const std::string& name, bool band) {
  PlotSeries series{name, MarkKind::kLine, {}};
  for (size_t t = 0; t < result.kl_by_position.size(); ++t) {
    const quality::PositionBand& at = result.kl_by_position[t];
    PlotPoint point{.x = static_cast<double>(t), .y = at.median};
    if (band) {
      point.low = at.low;
      point.high = at.high;
    }
    series.points.push_back(point);
  }
  return series;
}

Plot KlByPosition(const Comparison& comparison) {
  Plot plot{.title = "KL by position",
            .description =
                "Line: median over the prompts at each position of the continuation; band: 5 to "
                "95 % of them. Noise floor: median of the reference in another precision.",
            .x = {.label = "position"},
            .y = {.label = "KL, nats", .logarithmic = true},
            .range_label = "5 to 95 %"};
  for (const ConfigurationResult& result : comparison.configurations) {
    if (result.kl_by_position.empty()) continue;
    plot.series.push_back(ByPosition(result, result.configuration.name, true));
  }
  if (!comparison.noise.kl_by_position.empty()) {
    plot.series.push_back(ByPosition(comparison.noise, "noise floor", false));
  }
  return plot;
}

// Share of positions with a larger KL; dense where there are few positions left.
PlotSeries Tail(const ConfigurationResult& result) {
  PlotSeries series{result.configuration.name, MarkKind::kLine, {}};
  std::vector<double> values = result.kl;
  std::sort(values.begin(), values.end(), std::greater<>());
  const auto count = static_cast<double>(values.size());
  size_t last = values.size();
  for (size_t i = 0; i <= kTailPoints && !values.empty(); ++i) {
    const double rank = std::pow(count, static_cast<double>(i) / kTailPoints) - 1;
    const size_t at = std::min(static_cast<size_t>(rank), values.size() - 1);
    if (at == last || values[at] <= 0) continue;
    series.points.push_back({.x = values[at], .y = static_cast<double>(at + 1) / count});
    last = at;
  }
  return series;
}

Plot KlTail(const Comparison& comparison) {
  Plot plot{.title = "Tail of KL",
            .description =
                "Share of positions whose KL is at least x: a mean hides what few "
                "positions do.",
            .x = {.label = "KL, nats", .logarithmic = true},
            .y = {.label = "share at least x", .logarithmic = true}};
  for (const ConfigurationResult& result : comparison.configurations) {
    PlotSeries series = Tail(result);
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  return plot;
}

// Prompts by the first token that differs; the last bin is "none". The curve is what the share of
// other most likely tokens on the forced track would give if positions were independent.
Plot FirstDivergence(const ConfigurationResult& result) {
  Plot plot{.title = "First divergence: " + result.configuration.name,
            .description =
                "Prompts by the index of the first token that differs; the last bar: none "
                "differs.",
            .x = {.label = "index of the token"},
            .y = {.label = "prompts", .from_zero = true}};
  PlotSeries bars{"measured", MarkKind::kBars, {}};
  double prompts = 0;
  const size_t bins = result.first_divergence.size();
  for (size_t i = 0; i < bins; ++i) {
    bars.points.push_back(
        {.x = static_cast<double>(i), .y = static_cast<double>(result.first_divergence[i])});
    prompts += result.first_divergence[i];
    const bool none = i + 1 == bins;
    if (none || (i % 10 == 0 && i + 4 < bins)) {
      plot.x.ticks.emplace_back(static_cast<double>(i), none ? "none" : absl::StrCat(i));
    }
  }
  if (bars.points.empty()) return plot;
  plot.series.push_back(std::move(bars));
  const Estimate* same = FindMetric(result, "top1_agreement");
  if (same == nullptr || !std::isfinite(same->value)) return plot;
  PlotSeries expected{"expected", MarkKind::kLine, {}};
  double left = prompts;
  for (size_t i = 0; i + 1 < bins; ++i) {
    const double here = left * (1 - same->value);
    expected.points.push_back({.x = static_cast<double>(i), .y = here});
    left -= here;
  }
  const PlotPoint none = {.x = static_cast<double>(bins - 1), .y = left};
  plot.series.push_back(std::move(expected));
  plot.series.push_back({"expected: none differs", MarkKind::kPoints, {none}});
  return plot;
}

Plot Perplexity(const Comparison& comparison) {
  Plot plot{.title = "Perplexity against the reference",
            .description =
                "ln of the ratio of perplexities with its 95 % interval; right of 0 is "
                "worse than the reference.",
            .x = {.label = "ln(perplexity / reference's)"},
            .y = {.label = ""},
            .rules = {{"equal", 0, true}}};
  const size_t count = comparison.configurations.size();
  for (size_t i = 0; i < count; ++i) {
    const ConfigurationResult& result = comparison.configurations[i];
    const Estimate* ratio = FindMetric(result, "perplexity_log_ratio");
    if (ratio == nullptr || !std::isfinite(ratio->value)) continue;
    plot.series.push_back({result.configuration.name,
                           MarkKind::kRange,
                           {{.x = ratio->value,
                             .y = static_cast<double>(count - i),
                             .low = ratio->lower,
                             .high = ratio->upper}}});
    plot.y.ticks.emplace_back(static_cast<double>(count - i), "");
  }
  plot.y.least = 0.5;
  plot.y.largest = static_cast<double>(count) + 0.5;
  return plot;
}

Plot SizeAgainstQuality(const Comparison& comparison) {
  constexpr double kGibibyte = int64_t{1} << 30;
  Plot plot{.title = "Size against quality",
            .description =
                "Size of the weights and mean KL; nothing lies left of and below the "
                "front.",
            .x = {.label = "GiB of weights", .from_zero = true},
            .y = {.label = "mean KL, nats", .logarithmic = true}};
  PlotSeries points{"configurations", MarkKind::kPoints, {}};
  for (const ConfigurationResult& result : comparison.configurations) {
    const Estimate* kl = FindMetric(result, "kl_mean");
    if (kl == nullptr || !std::isfinite(kl->value) || result.weight_bytes == 0) continue;
    points.points.push_back({.x = static_cast<double>(result.weight_bytes) / kGibibyte,
                             .y = kl->value,
                             .name = result.configuration.name});
  }
  if (points.points.empty()) return plot;
  std::vector<PlotPoint> sorted = points.points, front;
  std::sort(sorted.begin(), sorted.end(), [](const PlotPoint& a, const PlotPoint& b) {
    return a.x < b.x || (a.x == b.x && a.y < b.y);
  });
  for (PlotPoint& point : sorted) {
    if (!front.empty() && point.y >= front.back().y) continue;
    point.name.clear();
    front.push_back(point);
  }
  plot.series.push_back(std::move(points));
  plot.series.push_back({"front", MarkKind::kStep, std::move(front)});
  return plot;
}

std::string LayerName(const quality::LayerStage& stage) {
  return stage.layer < 0 ? "–" : fmt::format("L{:02}", stage.layer);
}

}  // namespace

HeatMap LayerMap(const ConfigurationResult& result) {
  const bool added = std::any_of(result.layers.begin(), result.layers.end(), [](const auto& stage) {
    return std::isfinite(stage.added_error_ratio);
  });
  HeatMap map{.caption = added
                             ? "log10(added error / bound) by layer and stage. Framed: beyond the "
                               "bound"
                             : "log10(relative error) by layer and stage; the added error was not "
                               "measured",
              .corner = "layer",
              .columns = {},
              .rows = {}};
  const auto value_of = [&](const quality::LayerStage& stage) {
    return added ? stage.added_error_ratio : stage.relative_error_mean;
  };
  const auto row_of = [&](const quality::LayerStage& stage) {
    return std::find_if(map.rows.begin(), map.rows.end(),
                        [&](const auto& row) { return row.first == LayerName(stage); });
  };
  for (const quality::LayerStage& stage : result.layers) {
    if (!std::isfinite(value_of(stage))) continue;
    if (std::find(map.columns.begin(), map.columns.end(), stage.stage) == map.columns.end()) {
      map.columns.push_back(stage.stage);
    }
    if (row_of(stage) == map.rows.end()) map.rows.push_back({LayerName(stage), {}});
  }
  for (auto& [name, cells] : map.rows) cells.resize(map.columns.size());
  for (const quality::LayerStage& stage : result.layers) {
    const double value = value_of(stage);
    if (!std::isfinite(value)) continue;
    const auto column = std::find(map.columns.begin(), map.columns.end(), stage.stage);
    const double decade = value > 0 ? std::log10(value) : -INFINITY;
    row_of(stage)->second[static_cast<size_t>(column - map.columns.begin())] = {
        .shade = std::clamp((decade - kLeastShade) / (kLargestShade - kLeastShade), 0.0, 1.0),
        .text = value > 0 ? fmt::format("{:.1f}", decade) : "0",
        .marked = added && value > 1};
  }
  return map;
}

Markup ComparePlots(const Comparison& comparison) {
  Markup plots = KlByPosition(comparison).Render() + KlTail(comparison).Render();
  for (const ConfigurationResult& result : comparison.configurations) {
    plots += FirstDivergence(result).Render();
  }
  plots += Perplexity(comparison).Render() + SizeAgainstQuality(comparison).Render();
  Markup body = Element("div", {{"class", "plots"}}, plots);
  for (const ConfigurationResult& result : comparison.configurations) {
    if (result.layers.empty()) continue;
    body += Element("h3", "Layer map: " + result.configuration.name) + LayerMap(result).Render();
  }
  return body;
}

}  // namespace crosscheck
