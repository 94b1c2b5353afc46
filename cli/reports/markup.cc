#include "cli/reports/markup.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace crosscheck {
namespace {

std::string OpeningTag(std::string_view name, Attributes attributes) {
  std::string tag = absl::StrCat("<", std::string(name));
  for (const auto& [attribute, value] : attributes) {
    if (value.empty()) continue;
    absl::StrAppend(&tag, " ", std::string(attribute), "=\"", EscapeMarkup(value), "\"");
  }
  return tag;
}

}  // namespace

std::string EscapeMarkup(std::string_view text) {
  using nlohmann::json;
  // The JSON writer replaces broken UTF-8; what it made is read back as the clean text.
  const std::string quoted = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string clean = json::parse(quoted).get<std::string>();
  std::string escaped;
  for (size_t i = 0; i < clean.size(); ++i) {
    const char c = clean[i];
    const bool noncharacter =
        clean.compare(i, 3, "\xEF\xBF\xBE") == 0 || clean.compare(i, 3, "\xEF\xBF\xBF") == 0;
    if (noncharacter) i += 2;
    const bool forbidden = static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    if (noncharacter || forbidden) {
      escaped += "\xEF\xBF\xBD";
    } else if (c == '<' || c == '>' || c == '&' || c == '"') {
      escaped += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : "&quot;";
    } else if (c == '\n' || c == '\t') {  // a plain one becomes a space in an attribute
      escaped += c == '\n' ? "&#10;" : "&#9;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

Markup Markup::Trusted(std::string html) {
  Markup markup;
  markup.html_ = std::move(html);
  return markup;
}

Markup& Markup::operator+=(const Markup& other) {
  html_ += other.html_;
  return *this;
}

Markup EmptyElement(std::string_view name, Attributes attributes) {
  return Markup::Trusted(OpeningTag(name, attributes) + "/>");
}

Markup Element(std::string_view name, Attributes attributes, const Markup& inside) {
  return Markup::Trusted(
      absl::StrCat(OpeningTag(name, attributes), ">", inside.html(), "</", std::string(name), ">"));
}

Markup Element(std::string_view name, const Markup& inside) { return Element(name, {}, inside); }

}  // namespace crosscheck
