#include "cli/reports/svg_chart.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "cli/reports/html.h"
#include "cli/reports/svg_scale.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

constexpr double kWidth = 440, kHeight = 262;
constexpr double kLeft = 58, kRight = 428, kTop = 12, kBottom = 214;
constexpr size_t kColours = 6;
constexpr size_t kDrawnPoints = 500;  // of one line
constexpr size_t kTabledPoints = 60;  // of one series
constexpr std::array<const char*, kColours> kDashes = {"",        "7 3",  "2 2.5",
                                                       "9 3 2 3", "12 4", "4 2"};

std::string Pixels(double value) { return fmt::format("{:.1f}", value); }
size_t Colour(size_t series) { return series % kColours + 1; }
// Series of one colour differ in it.
std::string Dash(size_t series) { return kDashes[(series + series / kColours) % kColours]; }

bool HasRange(const PlotPoint& p) { return std::isfinite(p.low + p.high); }

Markup Line(double x1, double y1, double x2, double y2, const std::string& kind) {
  return EmptyElement("line", {{"x1", Pixels(x1)},
                               {"y1", Pixels(y1)},
                               {"x2", Pixels(x2)},
                               {"y2", Pixels(y2)},
                               {"class", kind}});
}

Markup Text(double x, double y, const std::string& anchor, const std::string& text,
            const std::string& kind = "") {
  return Element(
      "text", {{"x", Pixels(x)}, {"y", Pixels(y)}, {"text-anchor", anchor}, {"class", kind}}, text);
}

// A different shape for each series.
Markup Mark(double x, double y, size_t series) {
  const std::string kind = absl::StrCat("f", Colour(series));
  switch ((series + series / kColours) % 3) {
    case 0:
      return EmptyElement("circle",
                          {{"cx", Pixels(x)}, {"cy", Pixels(y)}, {"r", "4"}, {"class", kind}});
    case 1:
      return EmptyElement("rect", {{"x", Pixels(x - 3.5)},
                                   {"y", Pixels(y - 3.5)},
                                   {"width", "7"},
                                   {"height", "7"},
                                   {"class", kind}});
    default:
      return EmptyElement(
          "path", {{"d", fmt::format("M{:.1f} {:.1f}l4.5 8h-9z", x, y - 5)}, {"class", kind}});
  }
}

// Every n-th point, the last one always.
std::vector<PlotPoint> Thinned(const std::vector<PlotPoint>& points, size_t most) {
  std::vector<PlotPoint> kept;
  for (const PlotPoint& point : points) {
    if (std::isfinite(point.x) && std::isfinite(point.y)) kept.push_back(point);
  }
  if (kept.size() <= most) return kept;
  std::vector<PlotPoint> thin;
  thin.reserve(most);
  for (size_t i = 0; i < most; ++i) thin.push_back(kept[i * (kept.size() - 1) / (most - 1)]);
  return thin;
}

Markup Picture(double height, const std::string& title, const std::string& description,
               const Markup& inside) {
  return Element("svg",
                 {{"viewBox", fmt::format("0 0 {:g} {:g}", kWidth, height)},
                  {"role", "img"},
                  {"aria-label", title}},
                 Element("title", title) + Element("desc", description) + inside);
}

Markup Figure(const std::string& title, const std::string& description, const Markup& inside,
              const HtmlTable& table) {
  return Element("figure", Element("figcaption", title) +
                               Element("p", {{"class", "note"}}, description) + inside +
                               Folded("Numbers", table.Render()));
}

std::vector<double> Values(const Plot& plot, bool vertical) {
  std::vector<double> values;
  for (const PlotSeries& series : plot.series) {
    for (const PlotPoint& p : series.points) {
      if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
      values.push_back(vertical ? p.y : p.x);
      if (vertical && series.kind == MarkKind::kLine && HasRange(p)) {
        values.push_back(p.low);
        values.push_back(p.high);
      }
      if (!vertical && series.kind == MarkKind::kRange) {
        values.push_back(p.low);
        values.push_back(p.high);
      }
      if (!vertical && series.kind == MarkKind::kBars) {
        values.push_back(p.x - 0.5);
        values.push_back(p.x + 0.5);
      }
    }
  }
  if (values.empty()) return values;
  for (const PlotRule& rule : plot.rules) {
    if (rule.vertical != vertical) values.push_back(rule.at);
  }
  return values;
}

class PlotPicture {
 public:
  explicit PlotPicture(const Plot& plot)
      : plot_(plot),
        x_(plot.x, Values(plot, false), kLeft, kRight),
        y_(plot.y, Values(plot, true), kBottom, kTop) {}

  Markup Draw() {
    Markup inside = Axes();
    for (size_t i = 0; i < plot_.series.size(); ++i) inside += Series(i);
    for (const PlotRule& rule : plot_.rules) {
      inside += rule.vertical ? Line(x_.At(rule.at), kTop, x_.At(rule.at), kBottom, "rule")
                              : Line(kLeft, y_.At(rule.at), kRight, y_.At(rule.at), "rule");
    }
    return Picture(kHeight, plot_.title, plot_.description, inside);
  }

 private:
  Markup Axes() const {
    Markup axes;
    for (const auto& [value, text] : y_.Ticks()) {
      axes += Line(kLeft, y_.At(value), kRight, y_.At(value), "grid");
      axes += Text(kLeft - 6, y_.At(value) + 4, "end", text, "faint");
    }
    for (const auto& [value, text] : x_.Ticks()) {
      axes += Line(x_.At(value), kBottom, x_.At(value), kBottom + 4, "axis");
      axes += Text(x_.At(value), kBottom + 17, "middle", text, "faint");
    }
    axes += Line(kLeft, kBottom, kRight, kBottom, "axis");
    axes += Text((kLeft + kRight) / 2, kBottom + 36, "middle", plot_.x.label);
    const double middle = (kTop + kBottom) / 2;
    return axes + Element("text",
                          {{"x", "12"},
                           {"y", Pixels(middle)},
                           {"text-anchor", "middle"},
                           {"transform", fmt::format("rotate(-90 12 {:.1f})", middle)}},
                          plot_.y.label);
  }

  Markup Series(size_t index) {
    const PlotSeries& series = plot_.series[index];
    if (series.kind == MarkKind::kLine || series.kind == MarkKind::kStep) return Path(index);
    Markup marks;
    for (const PlotPoint& p : Thinned(series.points, kDrawnPoints)) {
      const double x = x_.At(p.x), y = y_.At(p.y);
      if (series.kind == MarkKind::kBars) {
        marks += Bar(p, index);
        continue;
      }
      if (series.kind == MarkKind::kRange && HasRange(p)) {
        marks += Line(x_.At(p.low), y, x_.At(p.high), y, absl::StrCat("path c", Colour(index)));
      }
      marks += Mark(x, y, index) + Name(p, x, y);
    }
    return marks;
  }

  Markup Bar(const PlotPoint& p, size_t index) const {
    const double left = x_.At(p.x - 0.4), right = x_.At(p.x + 0.4), top = y_.At(p.y);
    return EmptyElement("rect", {{"x", Pixels(left)},
                                 {"y", Pixels(top)},
                                 {"width", Pixels(std::max(1.0, right - left))},
                                 {"height", Pixels(std::max(0.0, kBottom - top))},
                                 {"class", absl::StrCat("f", Colour(index))},
                                 {"fill-opacity", "0.75"}});
  }

  Markup Path(size_t index) const {
    const PlotSeries& series = plot_.series[index];
    std::string path;
    double last = 0;
    const std::vector<PlotPoint> points = Thinned(series.points, kDrawnPoints);
    for (const PlotPoint& p : points) {
      const double x = x_.At(p.x), y = y_.At(p.y);
      if (path.empty()) {
        path = fmt::format("M{:.1f} {:.1f}", x, y);
      } else if (series.kind == MarkKind::kStep) {
        absl::StrAppend(&path, fmt::format("L{:.1f} {:.1f}L{:.1f} {:.1f}", x, last, x, y));
      } else {
        absl::StrAppend(&path, fmt::format("L{:.1f} {:.1f}", x, y));
      }
      last = y;
    }
    Markup drawn = Band(points, index) +
                   EmptyElement("path", {{"d", path},
                                         {"class", absl::StrCat("path c", Colour(index))},
                                         {"stroke-dasharray", Dash(index)}});
    if (points.size() == 1) drawn += Mark(x_.At(points[0].x), y_.At(points[0].y), index);
    return drawn;
  }

  // Along the highs and back along the lows.
  Markup Band(const std::vector<PlotPoint>& points, size_t index) const {
    std::string there, back;
    for (const PlotPoint& p : points) {
      if (!HasRange(p)) continue;
      const double x = x_.At(p.x);
      absl::StrAppend(&there,
                      fmt::format("{}{:.1f} {:.1f}", there.empty() ? "M" : "L", x, y_.At(p.high)));
      back = fmt::format("L{:.1f} {:.1f}", x, y_.At(p.low)) + back;
    }
    if (there.empty()) return {};
    return EmptyElement("path", {{"d", absl::StrCat(there, back, "Z")},
                                 {"class", absl::StrCat("f", Colour(index))},
                                 {"fill-opacity", "0.16"}});
  }

  // Beside its point, below names that are already there.
  Markup Name(const PlotPoint& p, double x, double y) {
    if (p.name.empty()) return {};
    const bool left = x > (kLeft + kRight) / 2;
    double at = y + 4;
    const auto taken = [&](double place) {
      return std::any_of(names_.begin(), names_.end(), [&](const std::pair<double, double>& other) {
        return std::abs(other.first - x) < 110 && std::abs(other.second - place) < 12;
      });
    };
    while (taken(at) && at < kBottom) at += 12;
    names_.emplace_back(x, at);
    return Text(left ? x - 8 : x + 8, at, left ? "end" : "start", p.name);
  }

  const Plot& plot_;
  SvgScale x_, y_;
  std::vector<std::pair<double, double>> names_;
};

Markup Swatch(const Markup& inside) {
  return Element("svg",
                 {{"viewBox", "0 0 34 12"},
                  {"aria-hidden", "true"},
                  {"style", "display:inline-block;width:34px;height:12px;vertical-align:middle"}},
                 inside);
}

Markup Legend(const Plot& plot) {
  if (plot.series.size() + plot.rules.size() < 2) return {};
  Markup items;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const MarkKind kind = plot.series[i].kind;
    const std::string colour = absl::StrCat(Colour(i));
    const Markup sign = kind == MarkKind::kLine || kind == MarkKind::kStep
                            ? EmptyElement("path", {{"d", "M1 6H33"},
                                                    {"class", "path c" + colour},
                                                    {"stroke-dasharray", Dash(i)}})
                        : kind == MarkKind::kBars ? EmptyElement("rect", {{"x", "11"},
                                                                          {"y", "0"},
                                                                          {"width", "12"},
                                                                          {"height", "12"},
                                                                          {"class", "f" + colour},
                                                                          {"fill-opacity", "0.75"}})
                                                  : Mark(17, 6, i);
    items += Element("span", {{"style", "white-space:nowrap"}},
                     Swatch(sign) + " " + plot.series[i].name) +
             "   ";
  }
  for (const PlotRule& rule : plot.rules) {
    items += Element("span", Swatch(Line(1, 6, 33, 6, "rule")) + " " + rule.name) + "   ";
  }
  return Element("p", {{"class", "note"}}, items);
}

HtmlTable Numbers(const Plot& plot) {
  HtmlTable table{.caption = plot.title,
                  .columns = {{"series"}, {plot.x.label, true}, {plot.y.label, true}},
                  .rows = {}};
  const bool ranges = std::any_of(plot.series.begin(), plot.series.end(), [](const PlotSeries& s) {
    return std::any_of(s.points.begin(), s.points.end(), HasRange);
  });
  if (ranges) table.columns.push_back({plot.range_label, true});
  const auto text = [](const PlotAxis& axis, double value) {
    for (const auto& [at, name] : axis.ticks) {
      if (at == value) return name;
    }
    return fmt::format("{:.6g}", value);
  };
  for (const PlotSeries& series : plot.series) {
    for (const PlotPoint& p : Thinned(series.points, kTabledPoints)) {
      table.rows.push_back(
          {p.name.empty() ? series.name : p.name, text(plot.x, p.x), text(plot.y, p.y)});
      if (ranges) {
        table.rows.back().push_back(HasRange(p) ? fmt::format("{:.4g} … {:.4g}", p.low, p.high)
                                                : "–");
      }
    }
  }
  for (const PlotRule& rule : plot.rules) {
    const std::string at = fmt::format("{:.6g}", rule.at);
    table.rows.push_back({rule.name, rule.vertical ? at : "", rule.vertical ? "" : at});
    if (ranges) table.rows.back().emplace_back("");
  }
  return table;
}

}  // namespace

Markup Plot::Render() const {
  if (Values(*this, true).empty()) {
    return Element("figure", Element("figcaption", title) + Paragraph("Nothing was recorded."));
  }
  return Figure(title, description, PlotPicture(*this).Draw() + Legend(*this), Numbers(*this));
}

Markup MixBar(const std::string& description, const std::vector<std::pair<int, double>>& shares) {
  Markup inside;
  double x = 0;
  for (const auto& [colour, share] : shares) {
    // A share that is there is seen, however small.
    const double width = share > 0 ? std::max(1.0, 100 * share) : 0;
    if (width > 0) {
      inside += EmptyElement("rect", {{"x", Pixels(std::min(x, 99.0))},
                                      {"y", "0"},
                                      {"width", Pixels(width)},
                                      {"height", "10"},
                                      {"class", absl::StrCat("f", colour)}});
    }
    x += 100 * share;
  }
  return Element("svg",
                 {{"viewBox", "0 0 100 10"},
                  {"class", "mix"},
                  {"role", "img"},
                  {"preserveAspectRatio", "none"},
                  {"aria-label", description}},
                 inside);
}

}  // namespace crosscheck
