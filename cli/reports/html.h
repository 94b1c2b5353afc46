// Self-contained pages: one file, no network, no script; light, dark and print; readable at the
// width of a phone. Plots are in cli/reports/svg_chart.h.
//
// Example:
//   HtmlTable table{.caption = "Runs", .columns = {{"run"}, {"cases", true}}};
//   table.rows.push_back({"1", GroupedCount(12345)});
//   HtmlPage page{.title = "Campaign", .sections = {{"runs", "Runs", table.Render()}}};
//   std::string html = page.Render();
#ifndef CROSSCHECK_CLI_REPORTS_HTML_H_
#define CROSSCHECK_CLI_REPORTS_HTML_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/reports/markup.h"

namespace crosscheck {

struct HtmlTable {
  struct Column {
    std::string name;
    bool number = false;  // right-aligned
  };
  std::string caption;
  std::vector<Column> columns;
  std::vector<std::vector<Markup>> rows;  // the first cell of a row is its header
  Markup Render() const;                  // scrolls by itself where it is too wide
};

// A table whose cells are shaded by a value in [0, 1] and say it in text; nullopt: no value.
struct HeatMap {
  struct Cell {
    std::optional<double> shade;
    std::string text;
    bool marked = false;  // drawn with a border beside its text: beyond a bound
  };
  std::string caption, corner;  // corner: what the rows are
  std::vector<std::string> columns;
  std::vector<std::pair<std::string, std::vector<Cell>>> rows;
  Markup Render() const;
};

// Folded on a screen until it is opened; always open in print.
Markup Folded(const Markup& summary, const Markup& inside, bool open = false);
Markup Paragraph(const Markup& inside);
Markup CodeBlock(std::string_view text);
Markup Code(std::string_view text);
// A word in a frame: "good", "bad", "doubtful" or "plain" decides its colour, the word says it.
Markup Badge(std::string_view kind, std::string_view word);

struct HtmlSection {
  std::string id, title;
  Markup body;
};
struct HtmlPage {
  std::string title;
  Markup lead;                                             // below the title
  std::vector<std::pair<std::string, std::string>> facts;  // name and value, large
  std::vector<HtmlSection> sections;
  std::string footer;
  std::string Render() const;
};

std::string GroupedCount(int64_t count);   // "12,345"
std::string DurationText(double seconds);  // "1 h 05 min", "12 s"
std::string NumberText(double value);      // three significant digits; "–" when not finite
std::string BytesText(double bytes);       // "1.21 MiB"
std::string PercentText(double share);     // "12.3 %"; never "0.0 %" or "100.0 %" by rounding
std::string Plural(int64_t count, std::string_view noun);  // "1 finding", "2 findings"

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_HTML_H_
