#include "quality/utf8.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace crosscheck::quality {
namespace {

// Bytes of the code point at the beginning of `text`, which is not empty; 0: there is none.
size_t CodePointBytes(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

}  // namespace

absl::Status CheckUtf8(std::string_view text, std::string_view source) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = CodePointBytes(text.substr(at));
    if (length == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(source), " is not UTF-8 at byte ", at));
    }
    at += length;
  }
  return absl::OkStatus();
}

}  // namespace crosscheck::quality
