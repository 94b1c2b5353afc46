// Text that is safe to write into HTML, SVG or XML. What is not marked as markup is escaped, so
// that no message of an engine and no path can become part of a page's structure.
//
// Example:
//   Markup row = Element("td", {{"class", "n"}}, "a < b");   // <td class="n">a &lt; b</td>
#ifndef CROSSCHECK_CLI_REPORTS_MARKUP_H_
#define CROSSCHECK_CLI_REPORTS_MARKUP_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace crosscheck {

// For text and attribute values alike. Bytes that are no UTF-8 and characters that XML 1.0 forbids
// become U+FFFD.
std::string EscapeMarkup(std::string_view text);

class Markup {
 public:
  Markup() = default;
  // NOLINTBEGIN(google-explicit-constructor): any text may stand where markup is wanted, escaped
  Markup(std::string_view text) : html_(EscapeMarkup(text)) {}
  Markup(const std::string& text) : Markup(std::string_view(text)) {}
  Markup(const char* text) : Markup(std::string_view(text)) {}
  // NOLINTEND(google-explicit-constructor)

  // Only for constants of this program.
  static Markup Trusted(std::string html);

  Markup& operator+=(const Markup& other);
  friend Markup operator+(Markup a, const Markup& b) { return std::move(a += b); }
  const std::string& html() const { return html_; }
  bool empty() const { return html_.empty(); }

 private:
  std::string html_;
};

// Values are escaped; an attribute with an empty value is left out.
using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;
// <name …/>: a void element of HTML, or an empty one of SVG.
Markup EmptyElement(std::string_view name, Attributes attributes);
Markup Element(std::string_view name, Attributes attributes, const Markup& inside);
Markup Element(std::string_view name, const Markup& inside);

}  // namespace crosscheck

#endif  // CROSSCHECK_CLI_REPORTS_MARKUP_H_
