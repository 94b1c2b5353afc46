#include "reference/json_input.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crosscheck {
namespace {

// Accepts everything and remembers where the syntax error is; runs only on texts that failed to
// parse.
class ErrorLocator : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    position_ = position;
    return false;
  }
  size_t position() const { return position_; }

 private:
  size_t position_ = 0;
};

// What can be seen of valid JSON without a tree.
struct Outline {
  int depth = 0;
  size_t keys = 0;  // of all objects, repeated ones included
};

Outline OutlineOf(std::string_view text) {
  Outline outline;
  int open = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ':') ++outline.keys;
    if (c == '{' || c == '[') outline.depth = std::max(outline.depth, ++open);
    if (c == '}' || c == ']') --open;
  }
  return outline;
}

size_t KeysOf(const nlohmann::json& value) {
  size_t keys = value.is_object() ? value.size() : 0;
  if (value.is_structured()) {
    for (const nlohmann::json& child : value) keys += KeysOf(child);
  }
  return keys;
}

absl::Status NotJson(size_t at, size_t size) {
  return absl::InvalidArgumentError(absl::StrCat("not valid JSON at byte ", at, " of ", size));
}

}  // namespace

int JsonDepth(std::string_view text) { return OutlineOf(text).depth; }

bool HasRepeatedKey(std::string_view text, const nlohmann::json& parsed) {
  return OutlineOf(text).keys != KeysOf(parsed);
}

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text) {
  // The parser skips a byte order mark and takes a NUL for the end; JSON has neither.
  if (text.substr(0, 3) == "\xEF\xBB\xBF") return NotJson(1, text.size());
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return NotJson(nul + 1, text.size());
  }
  nlohmann::json parsed = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!parsed.is_discarded()) return parsed;
  ErrorLocator locator;
  nlohmann::json::sax_parse(text.begin(), text.end(), &locator);
  return NotJson(locator.position(), text.size());
}

}  // namespace crosscheck
