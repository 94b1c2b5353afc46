#include "cli/reports/html.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "cli/reports/page_style.h"
#include "fmt/format.h"

namespace crosscheck {
namespace {

constexpr size_t kLongHeading = 7;  // longer ones of a heat map are turned

// A region that scrolls sideways can be reached by keyboard and has a name.
Markup Scrolling(const std::string& name, const Markup& inside) {
  return Element("div",
                 {{"class", "scroll"}, {"role", "region"}, {"tabindex", "0"}, {"aria-label", name}},
                 inside);
}

Markup Navigation(const std::vector<HtmlSection>& sections) {
  Markup items;
  for (const HtmlSection& section : sections) {
    items += Element("li", Element("a", {{"href", "#" + section.id}}, section.title));
  }
  return Element("nav", {{"aria-label", "Sections"}}, Element("ul", items));
}

Markup Facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  if (facts.empty()) return {};
  Markup items;
  for (const auto& [name, value] : facts) {
    items += Element("div", Element("dt", name) + Element("dd", value));
  }
  return Element("dl", {{"class", "facts"}}, items);
}

}  // namespace

Markup HtmlTable::Render() const {
  Markup head, body;
  for (const Column& column : columns) {
    head += Element("th", {{"scope", "col"}, {"class", column.number ? "n" : ""}}, column.name);
  }
  for (const std::vector<Markup>& row : rows) {
    Markup cells;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string kind = i < columns.size() && columns[i].number ? "n" : "";
      cells += i == 0 ? Element("th", {{"scope", "row"}, {"class", kind}}, row[i])
                      : Element("td", {{"class", kind}}, row[i]);
    }
    body += Element("tr", cells) + Markup::Trusted("\n");
  }
  return Scrolling(caption, Element("table", Element("caption", caption) +
                                                 Element("thead", Element("tr", head)) +
                                                 Element("tbody", body)));
}

Markup HeatMap::Render() const {
  Markup head = Element("th", {{"scope", "col"}}, corner);
  const bool turned = std::any_of(columns.begin(), columns.end(), [](const std::string& name) {
    return name.size() > kLongHeading;
  });
  for (const std::string& column : columns) {
    head += Element("th", {{"scope", "col"}, {"class", turned ? "turned" : ""}}, column);
  }
  Markup body;
  for (const auto& [name, cells] : rows) {
    Markup row = Element("th", {{"scope", "row"}}, name);
    for (const Cell& cell : cells) {
      const std::string style =
          cell.shade ? fmt::format("--v:{:.2f}", std::clamp(*cell.shade, 0.0, 1.0)) : "";
      row += Element("td", {{"class", cell.marked ? "mark" : ""}, {"style", style}}, cell.text);
    }
    body += Element("tr", row) + Markup::Trusted("\n");
  }
  return Scrolling(caption,
                   Element("table", {{"class", "heat"}},
                           Element("caption", caption) + Element("thead", Element("tr", head)) +
                               Element("tbody", body)));
}

Markup Folded(const Markup& summary, const Markup& inside, bool open) {
  return Element("details", {{"open", open ? "open" : ""}}, Element("summary", summary) + inside);
}

Markup Paragraph(const Markup& inside) { return Element("p", inside); }
Markup CodeBlock(std::string_view text) { return Element("pre", text); }
Markup Code(std::string_view text) { return Element("code", text); }

Markup Badge(std::string_view kind, std::string_view word) {
  return Element("span", {{"class", absl::StrCat("badge ", std::string(kind))}}, word);
}

std::string HtmlPage::Render() const {
  Markup head = EmptyElement("meta", {{"charset", "utf-8"}}) +
                EmptyElement("meta", {{"name", "viewport"},
                                      {"content", "width=device-width, initial-scale=1"}}) +
                EmptyElement("meta", {{"name", "color-scheme"}, {"content", "light dark"}}) +
                // Nothing is fetched, whatever text the page holds.
                EmptyElement("meta", {{"http-equiv", "Content-Security-Policy"},
                                      {"content",
                                       "default-src 'none'; style-src 'unsafe-inline'; "
                                       "img-src data:"}}) +
                EmptyElement("link", {{"rel", "icon"}, {"href", "data:,"}}) +
                Element("title", title) + Element("style", Markup::Trusted(kPageStyle));
  Markup body =
      Element("header", Element("h1", title) + lead + Facts(facts)) + Navigation(sections);
  Markup parts;
  for (const HtmlSection& section : sections) {
    parts += Element("section", {{"id", section.id}}, Element("h2", section.title) + section.body) +
             Markup::Trusted("\n");
  }
  body += Element("main", parts) + Element("footer", footer);
  return "<!DOCTYPE html>\n" +
         Element("html", {{"lang", "en"}}, Element("head", head) + Element("body", body)).html() +
         "\n";
}

std::string GroupedCount(int64_t count) {
  std::string digits = absl::StrCat(count);
  const ptrdiff_t sign = count < 0 ? 1 : 0;
  for (auto at = static_cast<ptrdiff_t>(digits.size()) - 3; at > sign; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string DurationText(double seconds) {
  if (!std::isfinite(seconds)) return "–";
  if (seconds < 120) return fmt::format("{:.3g} s", seconds);
  const auto minutes = static_cast<int64_t>(seconds / 60);
  if (minutes < 60) return fmt::format("{} min {:02} s", minutes, static_cast<int>(seconds) % 60);
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string NumberText(double value) {
  return std::isfinite(value) ? fmt::format("{:.3g}", value) : "–";
}

std::string BytesText(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.4g} {}", bytes, kUnits[unit]);
}

std::string PercentText(double share) {
  if (!std::isfinite(share)) return "–";
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  if (share < 1 && share > 0.9995) return "> 99.9 %";
  return fmt::format("{:.1f} %", 100 * share);
}

std::string Plural(int64_t count, std::string_view noun) {
  return absl::StrCat(GroupedCount(count), " ", std::string(noun), count == 1 ? "" : "s");
}

}  // namespace crosscheck
