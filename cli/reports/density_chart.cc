// DensityChart of svg_chart.h.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/reports/html.h"
#include "cli/reports/svg_chart.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

constexpr double kWidth = 440, kLeft = 26, kRight = 430, kRow = 46, kBars = 22, kHead = 16;
const double kBucketsPerDecade = 2 * std::log2(10.0);

std::string Pixels(double value) { return fmt::format("{:.1f}", value); }

Markup Text(double x, double y, const char* anchor, const std::string& text, const char* kind) {
  return Element(
      "text", {{"x", Pixels(x)}, {"y", Pixels(y)}, {"text-anchor", anchor}, {"class", kind}}, text);
}

class DensityPicture {
 public:
  explicit DensityPicture(const DensityChart& chart) : chart_(chart), least_(chart.least_bucket) {
    for (const DensityRow& row : chart.rows) {
      for (const auto& [bucket, count] : row.buckets) {
        if (bucket == chart.exact_bucket) continue;
        least_ = std::min(least_, bucket);
        largest_ = std::max(largest_, bucket + 1);
      }
    }
  }

  Markup Draw() const {
    const double bottom = kHead + kRow * static_cast<double>(chart_.rows.size());
    Markup inside = Ticks(bottom);
    for (size_t i = 0; i < chart_.rows.size(); ++i) {
      inside += Row(chart_.rows[i], kHead + kRow * static_cast<double>(i));
    }
    inside += Line(At(0), kHead - 4, At(0), bottom, "rule");
    inside += Text(At(0) - 4, 10, "end", "bound", "");
    inside += Text((kLeft + kRight) / 2, bottom + 34, "middle", chart_.label, "");
    return Element("svg",
                   {{"viewBox", fmt::format("0 0 {:g} {:g}", kWidth, bottom + 42)},
                    {"role", "img"},
                    {"aria-label", chart_.title}},
                   Element("title", chart_.title) + Element("desc", chart_.description) + inside);
  }

 private:
  double At(double bucket) const {
    return kLeft + (bucket - least_) / (largest_ - least_) * (kRight - kLeft);
  }

  static Markup Line(double x1, double y1, double x2, double y2, const char* kind) {
    return EmptyElement("line", {{"x1", Pixels(x1)},
                                 {"y1", Pixels(y1)},
                                 {"x2", Pixels(x2)},
                                 {"y2", Pixels(y2)},
                                 {"class", kind}});
  }

  Markup Ticks(double bottom) const {
    Markup ticks = Text(kLeft - 15, bottom + 16, "middle", "0", "faint");
    const int step = largest_ - least_ > 40 ? 2 : 1;
    const int first = static_cast<int>(std::ceil(least_ / kBucketsPerDecade));
    for (int decade = first; decade * kBucketsPerDecade <= largest_; ++decade) {
      if (decade % step != 0) continue;
      const double x = At(decade * kBucketsPerDecade);
      ticks += Line(x, kHead, x, bottom, "grid");
      ticks +=
          Text(x, bottom + 16, "middle", decade == 0 ? "1" : absl::StrCat("1e", decade), "faint");
    }
    return ticks;
  }

  Markup Row(const DensityRow& row, double top) const {
    const double base = top + kRow - 3;
    Markup drawn = Text(kLeft, top + 12, "start", row.name, "");
    drawn += Text(At(0) - 6, top + 12, "end", row.note, "faint");
    int64_t most = 1;
    for (const auto& [bucket, count] : row.buckets) most = std::max(most, count);
    for (const auto& [bucket, count] : row.buckets) {
      if (count == 0) continue;
      const bool exact = bucket == chart_.exact_bucket;
      const double left = exact ? kLeft - 20 : At(bucket);
      const double width = exact ? 10 : At(bucket + 1) - At(bucket) - 0.7;
      const double height =
          std::max(1.5, kBars * static_cast<double>(count) / static_cast<double>(most));
      drawn += EmptyElement("rect", {{"x", Pixels(left)},
                                     {"y", Pixels(base - height)},
                                     {"width", Pixels(width)},
                                     {"height", Pixels(height)},
                                     {"class", bucket >= 0 ? "f5" : "f1"}});
    }
    return drawn + Line(kLeft - 20, base, kRight, base, "axis");
  }

  const DensityChart& chart_;
  int least_, largest_ = 4;
};

std::string BucketText(int bucket, int exact) {
  return bucket == exact ? "0" : fmt::format("≤ {:.3g}", std::exp2((bucket + 1) / 2.0));
}

}  // namespace

Markup DensityChart::Render() const {
  if (rows.empty()) {
    return Element("figure", Element("figcaption", title) + Paragraph("Nothing was recorded."));
  }
  HtmlTable table{.caption = title, .columns = {{"what"}, {label}, {"count", true}}, .rows = {}};
  for (const DensityRow& row : rows) {
    for (const auto& [bucket, count] : row.buckets) {
      table.rows.push_back({row.name, BucketText(bucket, exact_bucket), GroupedCount(count)});
    }
  }
  return Element("figure", Element("figcaption", title) +
                               Element("p", {{"class", "note"}}, description) +
                               DensityPicture(*this).Draw() + Folded("Numbers", table.Render()));
}

}  // namespace crosscheck
